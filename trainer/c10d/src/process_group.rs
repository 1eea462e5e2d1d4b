//! Collectives among the ranks of one run: c10d's ProcessGroupGloo, and ProcessGroupNCCL with feature `cuda`.

use crate::bridge::ffi;
use crate::error::Error;
use crate::store::{Store, milliseconds};
use crate::tensor::lend;
use crate::work::Work;
use cxx::UniquePtr;
use std::net::{ToSocketAddrs, UdpSocket};
use std::time::Duration;
use tch::{Device, Tensor};

/// Names the network interfaces for Gloo, separated by commas, as in PyTorch.
const GLOO_SOCKET_IFNAME: &str = "GLOO_SOCKET_IFNAME";

/// One rank's end of a group of processes that sum, copy and wait together.
///
/// Every rank starts the same collectives in the same order; c10d matches them by that order. Sums run in an order that depends
/// only on the number of ranks and the tensor's length: all ranks get the same bits, and so does every repetition.
///
/// Dropping a group waits for collectives under way, at most for its timeout, and then closes the connections, which may
/// cut off a slower peer's last collective: end a run with [`ProcessGroup::finish`].
pub struct ProcessGroup {
    backend: UniquePtr<ffi::Backend>,
    store: Store,
    rank: usize,
    size: usize,
    device: Device,
}

// SAFETY: c10d's backends are not tied to the thread that made them. They are not Sync: starting a collective takes no lock.
unsafe impl Send for ProcessGroup {}

impl ProcessGroup {
    /// Joins a group of `size` ranks over TCP, for tensors on the CPU. Returns when all ranks have connected.
    ///
    /// Keys under `prefix` carry the addresses: give each generation of a run its own. Gloo listens on the interfaces that the environment
    /// variable `GLOO_SOCKET_IFNAME` names, or else on the local address from which the store is reached, so all ranks must reach
    /// the store by one kind of address (all by loopback, or all over the network). `timeout` bounds joining and every
    /// collective.
    pub fn gloo(store: &Store, prefix: &str, rank: usize, size: usize, timeout: Duration) -> Result<Self, Error> {
        let interfaces = std::env::var(GLOO_SOCKET_IFNAME).unwrap_or_default();
        let address = local_address(store.host_name(), store.port());
        Self::join("Gloo", store, prefix, rank, size, timeout, Device::Cpu, |client, rank, size| {
            ffi::make_gloo(client, rank, size, milliseconds(timeout), &interfaces, &address)
        })
    }

    /// Joins a group of `size` ranks, each with a GPU of its own, for tensors on `Device::Cuda(device)`.
    ///
    /// NCCL itself connects at the first collective. [`Work::wait`] blocks until the GPU has finished, and reports what went wrong;
    /// after an error, [`ProcessGroup::abort`] frees the GPU from a collective that still waits for the lost peer.
    #[cfg(feature = "cuda")]
    pub fn nccl(store: &Store, prefix: &str, rank: usize, size: usize, timeout: Duration, device: usize) -> Result<Self, Error> {
        let index = int("device", device)?;
        Self::join("NCCL", store, prefix, rank, size, timeout, Device::Cuda(device), |client, rank, size| {
            ffi::make_nccl(client, rank, size, milliseconds(timeout), index)
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn join(
        name: &str,
        store: &Store,
        prefix: &str,
        rank: usize,
        size: usize,
        timeout: Duration,
        device: Device,
        make: impl FnOnce(&ffi::StoreClient, i32, i32) -> Result<UniquePtr<ffi::Backend>, cxx::Exception>,
    ) -> Result<Self, Error> {
        if rank >= size {
            return Err(Error::Argument {
                what: "ProcessGroup",
                argument: "rank",
                reason: format!("{rank} is not below the size, {size}"),
            });
        }
        // A connection of its own: c10d's waits must not hold back the caller's, and take the group's timeout.
        let store = store.reconnect(timeout)?.prefix(prefix)?;
        let backend = make(store.client(), int("rank", rank)?, int("size", size)?)
            .map_err(|exception| Error::from_exception(format!("joining {name} as rank {rank} of {size}"), timeout, &exception))?;
        Ok(Self { backend, store, rank, size, device })
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Starts to replace `tensor`, on every rank, by the sum over all ranks. `tensor` is contiguous, a view of a larger one if
    /// need be, and of one length and dtype on all ranks.
    pub fn all_reduce_sum(&self, tensor: &Tensor) -> Result<Work, Error> {
        self.check("all-reduce", "tensor", tensor)?;
        self.started("all-reduce", self.backend.all_reduce_sum(lend(tensor)))
    }

    /// Starts to replace `tensor` by the one of rank `root`.
    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<Work, Error> {
        self.check("broadcast", "tensor", tensor)?;
        if root >= self.size {
            return Err(Error::Argument {
                what: "broadcast",
                argument: "root",
                reason: format!("{root} is not below the size, {}", self.size),
            });
        }
        self.started("broadcast", self.backend.broadcast(lend(tensor), int("root", root)?))
    }

    /// Starts to gather `input` `[...]` of every rank into `output` `[size, ...]`, in the order of ranks.
    pub fn all_gather(&self, output: &Tensor, input: &Tensor) -> Result<Work, Error> {
        self.check("all-gather", "output", output)?;
        self.check("all-gather", "input", input)?;
        let expected = [&[self.size as i64][..], &input.size()].concat();
        if output.size() != expected {
            return Err(Error::Argument {
                what: "all-gather",
                argument: "output",
                reason: format!("{:?} is not {expected:?}", output.size()),
            });
        }
        self.started("all-gather", self.backend.all_gather(lend(output), lend(input)))
    }

    /// Waits until every rank has called this.
    pub fn barrier(&self, timeout: Duration) -> Result<(), Error> {
        self.started("barrier", self.backend.barrier())?.wait(timeout)
    }

    /// Leaves the group once every rank is done with it: no rank closes its connections while another still reads.
    pub fn finish(self, timeout: Duration) -> Result<(), Error> {
        if self.store.add("finished", 1)? == self.size as i64 {
            self.store.set("all_finished", b"1")?;
        }
        self.store.wait(&["all_finished"], timeout)?;
        self.backend.shutdown().map_err(|exception| Error::from_local_exception("shutdown", &exception))
    }

    /// Closes all connections: collectives under way fail at once on every peer, and here at the latest when the group's timeout
    /// passes.
    pub fn abort(&self) -> Result<(), Error> {
        self.backend.abort().map_err(|exception| Error::from_local_exception("abort", &exception))
    }

    fn started(&self, what: &'static str, outcome: Result<UniquePtr<ffi::Collective>, cxx::Exception>) -> Result<Work, Error> {
        outcome.map(|collective| Work::new(collective, what)).map_err(|exception| Error::from_local_exception(what, &exception))
    }

    fn check(&self, what: &'static str, argument: &'static str, tensor: &Tensor) -> Result<(), Error> {
        let reason = if tensor.device() != self.device {
            format!("it is on {:?} and the group works on {:?}", tensor.device(), self.device)
        } else if !tensor.is_contiguous() {
            format!("strides {:?} of {:?} are not contiguous", tensor.stride(), tensor.size())
        } else {
            return Ok(());
        };
        Err(Error::Argument { what, argument, reason })
    }
}

impl std::fmt::Debug for ProcessGroup {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rank, size, device, .. } = self;
        formatter.debug_struct("ProcessGroup").field("rank", rank).field("size", size).field("device", device).finish_non_exhaustive()
    }
}

/// The address of this machine from which it reaches `host`; loopback when there is no route. Sends nothing: connecting a UDP socket
/// only asks the routing table.
fn local_address(host: &str, port: u16) -> String {
    let route = |target: std::net::SocketAddr| {
        let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(target).ok()?;
        Some(socket.local_addr().ok()?.ip().to_string())
    };
    let targets = (host, port).to_socket_addrs().into_iter().flatten();
    targets.into_iter().find_map(route).unwrap_or_else(|| "127.0.0.1".to_owned())
}

fn int(argument: &'static str, value: usize) -> Result<i32, Error> {
    i32::try_from(value).map_err(|_| Error::Argument {
        what: "ProcessGroup",
        argument,
        reason: format!("{value} is more than {}", i32::MAX),
    })
}
