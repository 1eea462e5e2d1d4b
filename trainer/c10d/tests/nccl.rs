//! NCCL on a GPU. `scripts/check_cuda.sh` runs this where there is one; elsewhere compiling and linking it is the test.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::time::Duration;
use tch::{Cuda, Device, Kind, Tensor};
use temper_c10d::{Error, ProcessGroup, Store};

const LONG: Duration = Duration::from_secs(120);

#[test]
fn one_rank_sums_copies_gathers_and_leaves() {
    assert!(Cuda::is_available(), "this test needs a GPU; use scripts/check_cuda.sh to compile and link it without one");
    let store = Store::host(0, LONG).unwrap();
    let group = ProcessGroup::nccl(&store, "nccl", 0, 1, LONG, 0).unwrap();

    let values = Tensor::arange(1000, (Kind::Float, Device::Cuda(0)));
    let before = values.copy();
    assert!(temper_c10d::reserved_bytes(Device::Cuda(0)) >= 2 * 4000);
    let work = group.all_reduce_sum(&values).unwrap();
    work.wait(LONG).unwrap();
    assert!(work.is_completed().unwrap());
    assert!(values.equal(&before), "the sum over one rank is the rank's own");

    group.broadcast(&values, 0).unwrap().wait(LONG).unwrap();
    let gathered = Tensor::zeros([1, 1000], (Kind::Float, Device::Cuda(0)));
    group.all_gather(&gathered, &values).unwrap().wait(LONG).unwrap();
    assert!(gathered.get(0).equal(&before));
    group.barrier(LONG).unwrap();

    let on_cpu = before.to_device(Device::Cpu);
    assert!(matches!(group.all_reduce_sum(&on_cpu), Err(Error::Argument { argument: "tensor", .. })));
    group.finish(LONG).unwrap();
}
