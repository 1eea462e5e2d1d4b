use super::{Candidate, Timing, Turn};
use crate::clock::Moment;
use jiff::{Span, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use std::time::Duration;

const TIMING: Timing =
    Timing { lease_duration: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry_period: Duration::from_secs(2) };

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(1000 + seconds))
}

fn wall(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::new().seconds(1_700_000_000 + seconds)
}

fn lease(version: &str, spec: LeaseSpec) -> Lease {
    Lease { metadata: ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() }, spec: Some(spec) }
}

fn held(by: &str, renewed: i64) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(by.to_owned()),
        lease_duration_seconds: Some(15),
        acquire_time: Some(MicroTime(wall(0))),
        renew_time: Some(MicroTime(wall(renewed))),
        lease_transitions: Some(3),
        ..LeaseSpec::default()
    }
}

fn seeing(spec: LeaseSpec) -> Candidate {
    let mut candidate = Candidate::new("a", TIMING);
    candidate.observe(Some(&lease("1", spec)), at(0));
    candidate
}

/// A candidate that acquired the Lease by a request sent at 0 and answered at 1.
fn leader() -> Candidate {
    let mut candidate = Candidate::new("a", TIMING);
    candidate.observe(None, at(0));
    let Turn::Write { version: None, spec } = candidate.turn(at(0), wall(0)) else { panic!("a Lease that is not there is made") };
    candidate.written(&lease("1", spec), at(0), at(1));
    candidate
}

fn holder_written(turn: &Turn) -> Option<&str> {
    match turn {
        Turn::Write { spec, .. } => spec.holder_identity.as_deref(),
        _ => None,
    }
}

#[test]
fn what_a_candidate_does_about_a_lease() {
    let released = LeaseSpec { holder_identity: None, lease_duration_seconds: Some(1), ..held("b", 0) };
    let nameless = LeaseSpec { holder_identity: Some(String::new()), ..held("b", 0) };
    let long = LeaseSpec { lease_duration_seconds: Some(60), ..held("b", 0) };
    let wrong = LeaseSpec { lease_duration_seconds: Some(-5), ..held("b", 0) };
    let claims = None;
    // (what the Lease says, seconds since it was first seen so, until when to wait)
    let table = [
        ("held, just seen", held("b", 0), 0, Some(15)),
        ("held, with a renewal far in the past by its own clock", held("b", -100_000), 14, Some(15)),
        ("held, with a renewal in the future by its own clock", held("b", 100_000), 15, claims),
        ("held and expired", held("b", 0), 15, claims),
        ("held for longer than our own setting", long.clone(), 59, Some(60)),
        ("held for longer than our own setting, and expired", long, 60, claims),
        ("held for a senseless time: our own setting", wrong, 14, Some(15)),
        ("released", released, 0, claims),
        ("held by nobody", nameless, 0, claims),
        ("empty", LeaseSpec::default(), 0, claims),
        ("held by a process of the same name that has ended", held("a", 0), 0, claims),
    ];
    for (case, spec, seconds, waits) in table {
        let turn = seeing(spec).turn(at(seconds), wall(0));
        match waits {
            Some(until) => assert_eq!(turn, Turn::Wait(at(until)), "{case}"),
            None => assert_eq!(holder_written(&turn), Some("a"), "{case}: {turn:?}"),
        }
    }
}

#[test]
fn a_claim_replaces_exactly_what_was_seen_and_counts_the_change() {
    let Turn::Write { version, spec } = seeing(held("b", 0)).turn(at(15), wall(100)) else { panic!("it is expired") };
    assert_eq!(version.as_deref(), Some("1"));
    assert_eq!(spec.lease_transitions, Some(4));
    assert_eq!((spec.acquire_time, spec.renew_time), (Some(MicroTime(wall(100))), Some(MicroTime(wall(100)))));
    assert_eq!(spec.lease_duration_seconds, Some(15));

    let Turn::Write { spec, .. } = seeing(held("a", 0)).turn(at(0), wall(100)) else { panic!("it is ours") };
    assert_eq!(spec.lease_transitions, Some(3), "the name is the same");
}

#[test]
fn each_change_begins_the_wait_again_and_a_repetition_does_not() {
    let mut candidate = seeing(held("b", 0));
    candidate.observe(Some(&lease("1", held("b", 0))), at(5));
    assert_eq!(candidate.turn(at(6), wall(0)), Turn::Wait(at(15)));
    // Someone labels the Lease: a new version of the same claim.
    candidate.observe(Some(&lease("2", held("b", 0))), at(6));
    assert_eq!(candidate.turn(at(6), wall(0)), Turn::Wait(at(15)));
    candidate.observe(Some(&lease("3", held("b", 7))), at(7));
    assert_eq!(candidate.turn(at(8), wall(0)), Turn::Wait(at(22)));
}

#[test]
fn a_label_that_somebody_put_there_stays() {
    let mut labelled = lease("1", held("b", 0));
    labelled.metadata.labels = Some([("team".to_owned(), "ml".to_owned())].into());
    let mut candidate = seeing(held("b", 0));
    candidate.observe(Some(&labelled), at(1));
    assert_eq!(candidate.metadata().labels, labelled.metadata.labels);
}

#[test]
fn the_one_who_knows_nothing_reads_first() {
    let mut candidate = Candidate::new("a", TIMING);
    assert_eq!(candidate.turn(at(0), wall(0)), Turn::Read);
    candidate.observe(None, at(0));
    assert!(matches!(candidate.turn(at(0), wall(0)), Turn::Write { version: None, .. }));
    candidate.forget();
    assert_eq!(candidate.turn(at(0), wall(0)), Turn::Read);
}

#[test]
fn a_leader_renews_in_time_and_may_write_from_before_its_request_was_sent() {
    let mut candidate = leader();
    assert_eq!(candidate.leads_until(), Some(at(10)), "the answer came at 1, but the request was sent at 0");
    assert_eq!(candidate.turn(at(1), wall(1)), Turn::Wait(at(2)));
    let Turn::Write { version, spec } = candidate.turn(at(2), wall(2)) else { panic!("it is time") };
    assert_eq!(version.as_deref(), Some("1"));
    assert_eq!((spec.acquire_time.clone(), spec.renew_time.clone()), (Some(MicroTime(wall(0))), Some(MicroTime(wall(2)))));
    candidate.written(&lease("2", spec), at(2), at(3));
    assert_eq!(candidate.leads_until(), Some(at(12)));
}

#[test]
fn a_leader_that_stood_still_looks_before_it_writes() {
    let mut candidate = leader();
    assert_eq!(candidate.turn(at(600), wall(600)), Turn::Read);
    // Nobody took it: it goes on.
    let same = lease("1", LeaseSpec { acquire_time: Some(MicroTime(wall(0))), ..held("a", 0) });
    candidate.observe(Some(&same), at(600));
    assert!(matches!(candidate.turn(at(600), wall(600)), Turn::Write { .. }));
    // Somebody did.
    candidate.observe(Some(&lease("9", held("b", 590))), at(601));
    assert_eq!(candidate.turn(at(601), wall(601)), Turn::Lost { to: "b".to_owned() });
}

#[test]
fn what_ends_a_term() {
    let twin = LeaseSpec { acquire_time: Some(MicroTime(wall(5))), ..held("a", 5) };
    let cleared = LeaseSpec { holder_identity: None, ..held("a", 5) };
    for (case, spec, to) in
        [("taken", held("b", 5), "b"), ("taken by a process of the same name", twin, "a"), ("cleared", cleared, "nobody")]
    {
        let mut candidate = leader();
        candidate.observe(Some(&lease("2", spec)), at(6));
        assert_eq!(candidate.turn(at(6), wall(6)), Turn::Lost { to: to.to_owned() }, "{case}");
        assert_eq!(candidate.release(wall(6)), None, "{case}: what is another's is not released");
    }
}

#[test]
fn a_lease_that_somebody_deletes_stays_the_holders() {
    let mut leading = leader();
    leading.observe(None, at(3));
    let turn = leading.turn(at(3), wall(3));
    assert!(matches!(&turn, Turn::Write { version: None, .. }), "{turn:?}");

    let mut waiting = seeing(held("b", 0));
    waiting.observe(None, at(3));
    assert_eq!(waiting.turn(at(3), wall(3)), Turn::Wait(at(15)), "the holder may still write");
    assert!(matches!(waiting.turn(at(15), wall(15)), Turn::Write { version: None, .. }));
}

#[test]
fn after_a_failure_it_pauses_and_then_looks() {
    for mut candidate in [leader(), seeing(held("b", 0))] {
        candidate.failed(at(4));
        assert_eq!(candidate.turn(at(3), wall(3)), Turn::Wait(at(4)));
        assert_eq!(candidate.turn(at(4), wall(4)), Turn::Read);
    }
}

#[test]
fn a_release_names_nobody() {
    let candidate = leader();
    let (version, spec) = candidate.release(wall(9)).expect("it leads");
    assert_eq!(version, "1");
    assert_eq!((spec.holder_identity, spec.lease_duration_seconds, spec.lease_transitions), (None, Some(1), Some(0)));
    assert_eq!(seeing(held("b", 0)).release(wall(9)), None);
}
