//! Process groups of real processes: the test binary starts itself once for each rank.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};
use temper_c10d::{Error, ProcessGroup, Store};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(500);
/// What a child's lines of result start with; the test harness prints lines of its own.
const RESULT: &str = "RESULT ";

/// One rank's process and what it has printed.
struct Rank {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Rank {
    fn start(role: &str, rank: usize, size: usize, port: u16) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process", "--ignored", "--nocapture"])
            .env("TEST_ROLE", format!("{role} {rank} {size} {port}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next result, or None when the process has ended.
    fn result(&mut self) -> Option<String> {
        self.lines.by_ref().map(Result::unwrap).find_map(|line| Some(line[line.find(RESULT)? + RESULT.len()..].to_owned()))
    }

    fn end(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "the rank that the other tests start"]
fn child_process() {
    let Ok(role) = std::env::var("TEST_ROLE") else { return };
    let [role, rank, size, port] = role.split(' ').collect::<Vec<_>>()[..] else { panic!("{role}") };
    let (rank, size, port) = (rank.parse().unwrap(), size.parse().unwrap(), port.parse().unwrap());
    let store = Store::connect("127.0.0.1", port, LONG).unwrap();
    let group = ProcessGroup::gloo(&store, "test", rank, size, LONG).unwrap();
    match role {
        "sum" => sums(&group),
        "killed" if rank == 1 => {
            group.barrier(LONG).unwrap();
            report("ready");
            store.get("never", LONG).unwrap_err();
        }
        "killed" => {
            group.barrier(LONG).unwrap();
            report("ready");
            let began = Instant::now();
            let error = group.all_reduce_sum(&values(0, 1_000_000)).unwrap().wait(LONG).unwrap_err();
            assert!(began.elapsed() < LONG / 2);
            report(&format!("{error:?}"));
            return;
        }
        other => panic!("{other}"),
    }
    group.finish(LONG).unwrap();
}

fn report(text: &str) {
    println!("\n{RESULT}{text}");
}

/// Numbers whose sum depends on the order of addition.
fn values(rank: usize, length: i64) -> Tensor {
    let index = Tensor::arange(length, (Kind::Float, Device::Cpu));
    (index * (0.37 + rank as f64)).sin() * 10f64.powi(rank as i32 * 3)
}

/// Several all-reduces in flight at once, then every other collective. Reports a digest of the sums' bits.
fn sums(group: &ProcessGroup) {
    let lengths = [1_i64, 7, 1000, 300_001];
    let flat = Tensor::cat(&lengths.map(|length| values(group.rank(), length)), 0);
    let buckets = flat.split_with_sizes(lengths, 0);
    let works: Vec<_> = buckets.iter().map(|bucket| group.all_reduce_sum(bucket).unwrap()).collect();
    for work in works {
        work.wait(LONG).unwrap();
        assert!(work.is_completed().unwrap());
    }
    for (bucket, length) in buckets.iter().zip(lengths) {
        let exact = (0..group.size())
            .fold(Tensor::zeros([length], (Kind::Double, Device::Cpu)), |sum, rank| sum + values(rank, length).to_kind(Kind::Double));
        let error = (bucket.to_kind(Kind::Double) - &exact).abs().max().double_value(&[]);
        assert!(error <= exact.abs().max().double_value(&[]) * 1e-6, "{error}");
    }

    let copied = Tensor::from_slice(&[group.rank() as i64; 3]);
    group.broadcast(&copied, group.size() - 1).unwrap().wait(LONG).unwrap();
    assert_eq!(Vec::<i64>::try_from(&copied).unwrap(), [group.size() as i64 - 1; 3]);

    let gathered = Tensor::zeros([group.size() as i64, 2], (Kind::Int64, Device::Cpu));
    group.all_gather(&gathered, &Tensor::from_slice(&[group.rank() as i64, 5])).unwrap().wait(LONG).unwrap();
    for rank in 0..group.size() as i64 {
        assert_eq!(Vec::<i64>::try_from(gathered.get(rank)).unwrap(), [rank, 5]);
    }
    group.barrier(LONG).unwrap();

    let bits = Vec::<f32>::try_from(&flat)
        .unwrap()
        .into_iter()
        .fold(0_u64, |digest, value| digest.rotate_left(5).wrapping_mul(31) ^ u64::from(value.to_bits()));
    report(&format!("{bits:016x}"));
}

#[test]
fn sums_are_bit_equal_on_all_ranks_and_in_every_run() {
    for size in [1, 2, 3] {
        let mut digests: Vec<String> = Vec::new();
        for _run in 0..2 {
            let store = Store::host(0, LONG).unwrap();
            let mut ranks: Vec<_> = (0..size).map(|rank| Rank::start("sum", rank, size, store.port())).collect();
            digests.extend(ranks.iter_mut().map(|rank| rank.result().unwrap()));
            ranks.into_iter().for_each(Rank::end);
        }
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{size} ranks: {digests:?}");
    }
}

#[test]
fn a_killed_peer_is_an_error_and_not_a_hang() {
    let store = Store::host(0, LONG).unwrap();
    let mut survivor = Rank::start("killed", 0, 2, store.port());
    let mut victim = Rank::start("killed", 1, 2, store.port());
    assert_eq!(victim.result().unwrap(), "ready");
    assert_eq!(survivor.result().unwrap(), "ready");
    victim.child.kill().unwrap(); // SIGKILL
    let error = survivor.result().unwrap();
    assert!(error.starts_with("PeerLost"), "{error}");
    survivor.end();
}

#[test]
fn a_rank_that_never_joins_times_out() {
    let store = Store::host(0, LONG).unwrap();
    let error = ProcessGroup::gloo(&store, "alone", 0, 2, SHORT).unwrap_err();
    assert!(matches!(&error, Error::Timeout { what, after } if what.contains("rank 0 of 2") && *after == SHORT), "{error:?}");
}

/// Two ranks in one process, for what needs no second one.
fn pair(store: &Store, timeout: Duration) -> (ProcessGroup, ProcessGroup) {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| ProcessGroup::gloo(store, "pair", 1, 2, timeout).unwrap());
        let one = ProcessGroup::gloo(store, "pair", 0, 2, timeout).unwrap();
        (one, other.join().unwrap())
    })
}

#[test]
fn a_peer_that_never_comes_to_the_collective_times_out() {
    let store = Store::host(0, LONG).unwrap();
    let (one, _hung) = pair(&store, SHORT * 4);
    let work = one.all_reduce_sum(&values(0, 10)).unwrap();
    assert!(!work.is_completed().unwrap());
    assert_eq!(work.wait(SHORT).unwrap_err(), Error::Timeout { what: "all-reduce".into(), after: SHORT });
    // The group's own timeout ends the collective for good.
    assert!(matches!(work.wait(LONG), Err(Error::Timeout { .. })));
    assert!(one.barrier(LONG).is_err());
}

#[test]
fn abort_frees_the_peer_at_once() {
    let store = Store::host(0, LONG).unwrap();
    let (one, other) = pair(&store, LONG);
    let began = Instant::now();
    let work = one.all_reduce_sum(&values(0, 10)).unwrap();
    other.abort().unwrap();
    let error = work.wait(LONG).unwrap_err();
    assert!(matches!(error, Error::PeerLost { .. }), "{error:?}");
    assert!(began.elapsed() < LONG / 2);
}

#[test]
fn abort_ends_this_ranks_own_collectives_too() {
    let store = Store::host(0, LONG).unwrap();
    let (one, _other) = pair(&store, SHORT * 4);
    let work = one.all_reduce_sum(&values(0, 10)).unwrap();
    one.abort().unwrap();
    // Gloo notices at once unless its worker was just about to start; then the group's timeout ends it.
    let error = work.wait(LONG).unwrap_err();
    assert!(matches!(error, Error::PeerLost { .. } | Error::Timeout { .. }), "{error:?}");
}

#[test]
fn wrong_arguments_are_refused() {
    let store = Store::host(0, LONG).unwrap();
    assert!(matches!(ProcessGroup::gloo(&store, "x", 2, 2, LONG), Err(Error::Argument { argument: "rank", .. })));
    let group = ProcessGroup::gloo(&store, "one", 0, 1, LONG).unwrap();
    let matrix = Tensor::zeros([3, 4], (Kind::Float, Device::Cpu));
    assert!(matches!(group.all_reduce_sum(&matrix.transpose(0, 1)), Err(Error::Argument { argument: "tensor", .. })));
    assert!(matches!(group.broadcast(&matrix, 1), Err(Error::Argument { argument: "root", .. })));
    assert!(matches!(group.all_gather(&matrix, &matrix), Err(Error::Argument { argument: "output", .. })));
}
