//! Elections of several replicas whose clocks run at different speeds, which stand still, crash and restart, and whose requests, answers
//! and watches are late or lost. Whatever happens, no two fences are open at the same time.

use super::candidate::{Candidate, Timing, Turn};
use super::fence::Fence;
use crate::clock::Moment;
use fastrand::Rng;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use std::collections::BTreeMap;
use std::time::Duration;

const TIMING: Timing =
    Timing { lease_duration: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry_period: Duration::from_secs(2) };
/// After this long a replica gives a request up, as the elector does.
const REQUEST_TIMEOUT: u64 = 5000;

/// What happens at a moment of the world's time, which is in milliseconds.
enum Event {
    Wake { replica: usize, life: u64 },
    Arrive { replica: usize, life: u64, request: u64, turn: Turn },
    Answer { replica: usize, life: u64, request: u64, answer: Answer },
    GiveUp { replica: usize, life: u64, request: u64 },
    Tell { replica: usize, life: u64, lease: Lease },
    Restart { replica: usize },
}

enum Answer {
    Is(Option<Lease>),
    Written(Lease),
    Conflict,
}

struct Replica {
    candidate: Candidate,
    fence: Fence,
    /// Its clock shows `offset + time * speed`.
    offset: u64,
    speed: f64,
    /// Counts its processes: what was meant for an earlier one is lost.
    life: u64,
    /// The request it waits for, and when that was sent by its clock.
    waits_for: Option<(u64, Moment)>,
    stands_still_until: u64,
}

impl Replica {
    fn clock(&self, time: u64) -> Moment {
        Moment::after_start(Duration::from_millis(self.offset) + Duration::from_millis(time).mul_f64(self.speed))
    }
}

/// How bad the world is.
#[derive(Clone, Copy, Debug)]
struct Weather {
    /// Chance that a message is lost.
    loss: f64,
    /// Chance that a replica stands still when it wakes.
    stall: f64,
    /// Chance that it crashes.
    crash: f64,
    /// Longest way of a message, in milliseconds.
    delay: u64,
}

const CALM: Weather = Weather { loss: 0.0, stall: 0.0, crash: 0.0, delay: 20 };

struct World {
    time: u64,
    rng: Rng,
    weather: Weather,
    events: BTreeMap<(u64, u64), Event>,
    counter: u64,
    lease: Option<Lease>,
    version: u64,
    replicas: Vec<Replica>,
    overlaps: Vec<String>,
    terms: u64,
}

impl World {
    fn new(seed: u64, replicas: usize, weather: Weather) -> Self {
        let mut rng = Rng::with_seed(seed);
        let replicas = (0..replicas)
            .map(|number| Replica {
                candidate: Candidate::new(format!("replica-{number}"), TIMING),
                fence: Fence::unopened(),
                offset: rng.u64(0..1_000_000_000),
                // Far worse than any quartz: the fastest and the slowest differ by a fifth.
                speed: 0.9 + 0.2 * rng.f64(),
                life: 0,
                waits_for: None,
                stands_still_until: 0,
            })
            .collect::<Vec<_>>();
        let mut world = Self {
            time: 0,
            rng,
            weather,
            events: BTreeMap::new(),
            counter: 0,
            lease: None,
            version: 0,
            replicas,
            overlaps: Vec::new(),
            terms: 0,
        };
        for replica in 0..world.replicas.len() {
            world.wake(replica, 0);
        }
        world
    }

    fn after(&mut self, delay: u64, event: Event) {
        self.counter += 1;
        self.events.insert((self.time + delay, self.counter), event);
    }

    fn wake(&mut self, replica: usize, delay: u64) {
        let life = self.replicas[replica].life;
        self.after(delay, Event::Wake { replica, life });
    }

    fn send(&mut self, held_up: u64, event: Event) {
        if self.rng.f64() >= self.weather.loss {
            let delay = self.rng.u64(1..=self.weather.delay);
            self.after(held_up + delay, event);
        }
    }

    fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((time, _), event) = entry.remove_entry();
            self.time = time;
            self.happen(event);
        }
        self.time = end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Restart { replica } => return self.restart(replica),
            Event::Arrive { replica, life, request, turn } => return self.serve(replica, life, request, &turn),
            _ => {}
        }
        let (Event::Wake { replica, life }
        | Event::Answer { replica, life, .. }
        | Event::GiveUp { replica, life, .. }
        | Event::Tell { replica, life, .. }) = event
        else {
            return;
        };
        let still = self.replicas[replica].stands_still_until;
        if self.replicas[replica].life != life {
            return;
        }
        if still > self.time {
            // It sees nothing until it goes on, and then everything at once.
            return self.after(still - self.time, event);
        }
        match event {
            Event::Wake { .. } => self.act(replica),
            Event::Answer { request, answer, .. } => self.hear(replica, request, answer),
            Event::GiveUp { request, .. } => self.give_up(replica, request),
            Event::Tell { lease, .. } => {
                let now = self.replicas[replica].clock(self.time);
                self.replicas[replica].candidate.observe(Some(&lease), now);
                self.wake(replica, 0);
            }
            Event::Restart { .. } | Event::Arrive { .. } => {}
        }
    }

    /// What the elector does in one round.
    fn act(&mut self, replica: usize) {
        if self.replicas[replica].waits_for.is_some() {
            return;
        }
        if self.rng.f64() < self.weather.crash {
            self.replicas[replica].life += 1;
            let delay = self.rng.u64(0..20_000);
            return self.after(delay, Event::Restart { replica });
        }
        if self.rng.f64() < self.weather.stall {
            self.replicas[replica].stands_still_until = self.time + self.rng.u64(1..40_000);
        }
        let now = self.replicas[replica].clock(self.time);
        let wall = Timestamp::from_millisecond(1_700_000_000_000 + i64::try_from(self.time).expect("it is short")).expect("it is short");
        match self.replicas[replica].candidate.turn(now, wall) {
            Turn::Wait(until) => {
                let wait = until.since(now).div_f64(self.replicas[replica].speed);
                let wait = u64::try_from(wait.as_millis()).expect("it is short") + 1;
                self.wake(replica, wait);
            }
            // The process ends and is started again.
            Turn::Lost { .. } => {
                self.replicas[replica].life += 1;
                self.after(1000, Event::Restart { replica });
            }
            turn => {
                self.counter += 1;
                let (request, life) = (self.counter, self.replicas[replica].life);
                self.replicas[replica].waits_for = Some((request, now));
                // It may stand still between looking at its clock and sending.
                let still = self.replicas[replica].stands_still_until.saturating_sub(self.time);
                self.send(still, Event::Arrive { replica, life, request, turn });
                self.after(REQUEST_TIMEOUT, Event::GiveUp { replica, life, request });
            }
        }
    }

    /// What the API server does: it accepts a write only in place of the version that it names.
    fn serve(&mut self, replica: usize, life: u64, request: u64, turn: &Turn) {
        let answer = match turn {
            Turn::Write { version, spec } => {
                let current = self.lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
                if current == *version { Answer::Written(self.store(spec)) } else { Answer::Conflict }
            }
            _ => Answer::Is(self.lease.clone()),
        };
        self.send(0, Event::Answer { replica, life, request, answer });
    }

    fn store(&mut self, spec: &LeaseSpec) -> Lease {
        self.version += 1;
        let metadata = ObjectMeta { resource_version: Some(self.version.to_string()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec.clone()) };
        self.lease = Some(lease.clone());
        for replica in 0..self.replicas.len() {
            let life = self.replicas[replica].life;
            // A leader does not watch.
            if self.replicas[replica].candidate.leads_until().is_none() {
                self.send(0, Event::Tell { replica, life, lease: lease.clone() });
            }
        }
        lease
    }

    fn hear(&mut self, replica: usize, request: u64, answer: Answer) {
        let now = self.replicas[replica].clock(self.time);
        let Some((_, sent)) = self.replicas[replica].waits_for.take_if(|(waiting, _)| *waiting == request) else { return };
        let it = &mut self.replicas[replica];
        match answer {
            Answer::Is(lease) => it.candidate.observe(lease.as_ref(), now),
            Answer::Conflict => it.candidate.failed(now.plus(Duration::from_millis(500))),
            Answer::Written(lease) => {
                self.terms += u64::from(it.candidate.leads_until().is_none());
                it.candidate.written(&lease, sent, now);
                it.fence.extend(it.candidate.leads_until().expect("it leads"));
                self.look_for_another(replica);
            }
        }
        self.wake(replica, 0);
    }

    fn give_up(&mut self, replica: usize, request: u64) {
        let now = self.replicas[replica].clock(self.time);
        if self.replicas[replica].waits_for.take_if(|(waiting, _)| *waiting == request).is_some() {
            self.replicas[replica].candidate.failed(now.plus(TIMING.retry_period));
            self.wake(replica, 0);
        }
    }

    /// Two fences overlap exactly if one is extended while the other is open.
    fn look_for_another(&mut self, replica: usize) {
        let open = |other: &Replica| other.fence.admits(other.clock(self.time));
        if !open(&self.replicas[replica]) {
            return;
        }
        for (other, it) in self.replicas.iter().enumerate() {
            if other != replica && open(it) {
                self.overlaps.push(format!("at {} ms both {other} and {replica} may write", self.time));
            }
        }
    }

    fn restart(&mut self, replica: usize) {
        let it = &mut self.replicas[replica];
        it.life += 1;
        it.candidate = Candidate::new(format!("replica-{replica}"), TIMING);
        it.fence = Fence::unopened();
        it.waits_for = None;
        it.stands_still_until = 0;
        self.wake(replica, 0);
    }

    fn leaders(&self) -> Vec<usize> {
        (0..self.replicas.len()).filter(|number| self.replicas[*number].fence.admits(self.replicas[*number].clock(self.time))).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_never_lead_and_one_does_once_all_is_well(
        seed in any::<u64>(),
        replicas in 2..4_usize,
        loss in 0.0..0.4,
        stall in 0.0..0.1,
        crash in 0.0..0.05,
        delay in 1..6000_u64,
    ) {
        let mut world = World::new(seed, replicas, Weather { loss, stall, crash, delay });
        world.run_until(600_000);
        prop_assert!(world.overlaps.is_empty(), "{:?}", world.overlaps);
        world.weather = CALM;
        world.run_until(720_000);
        prop_assert!(world.overlaps.is_empty(), "{:?}", world.overlaps);
        prop_assert!(world.leaders().len() == 1, "{:?} lead", world.leaders());
    }
}

/// The simulation must be able to show what the property above denies.
#[test]
fn the_world_is_bad_enough_to_change_leaders_often() {
    let mut terms = 0;
    for seed in 0..20 {
        let mut world = World::new(seed, 3, Weather { loss: 0.2, stall: 0.05, crash: 0.02, delay: 1000 });
        world.run_until(600_000);
        terms += world.terms;
    }
    assert!(terms > 100, "{terms} terms");
}

#[test]
fn in_calm_weather_the_first_leads_for_good() {
    let mut world = World::new(1, 3, CALM);
    world.run_until(3_600_000);
    assert_eq!((world.terms, world.leaders().len()), (1, 1));
}

#[test]
fn a_crashed_leader_is_followed_within_the_lease_and_a_released_one_at_once() {
    for release in [false, true] {
        let mut world = World::new(3, 2, CALM);
        world.replicas.iter_mut().for_each(|replica| replica.speed = 1.0);
        world.run_until(60_000);
        let [leader] = world.leaders()[..] else { panic!("one leads") };
        world.replicas[leader].life += 1;
        if release {
            let wall = Timestamp::from_second(1_700_000_060).expect("a time");
            let (_, spec) = world.replicas[leader].candidate.release(wall).expect("it leads");
            world.store(&spec);
        }
        // The fence of a process that has ended opens nothing.
        world.replicas[leader].fence.shut();
        world.run_until(if release { 61_000 } else { 60_000 + 15_000 + 1000 });
        assert_eq!(world.leaders(), [1 - leader], "released: {release}");
        world.replicas[1 - leader].fence.shut();
    }
}
