//! A parallel loop on libtorch's intra-op threads, and their number.
//!
//! A second thread pool beside libtorch's would make two sets of threads compete for the same cores. This loop borrows the
//! threads that libtorch's own kernels use.

use crate::bridge::ffi;
use crate::error::Error;
use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

/// Calls `body` on disjoint ranges that together cover `0..length`, on libtorch's intra-op threads.
///
/// There are as many ranges as threads, but no more than `length / grain`, rounded up; all but the last have one length.
/// They depend on `length`, `grain` and the number of threads, never on timing, so a body that writes only what its range covers
/// gives the same bits every time. A call from inside another parallel loop runs on the caller's thread alone. A panic in
/// `body` is raised again here, once every thread has finished.
///
/// `body` must not run tensor operations: libtorch's thread-local settings are the caller's, not the pool's. Take slices or
/// pointers to the data beforehand.
pub fn parallel_for(length: usize, grain: usize, body: impl Fn(Range<usize>) + Sync) {
    let task = RangeTask { body: &body, panic: Mutex::new(None) };
    let outcome = ffi::parallel_for(length, grain, &task);
    if let Some(payload) = task.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(payload);
    }
    outcome.expect("at::parallel_for throws only what its body throws, and this body throws nothing");
}

/// The loop's body as C++ sees it. C++ calls it from several threads at a time: everything inside is `Sync`.
pub(crate) struct RangeTask<'a> {
    body: &'a (dyn Fn(Range<usize>) + Sync),
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

const _: () = {
    const fn shared_between_threads<T: Sync>() {}
    shared_between_threads::<RangeTask<'_>>();
};

impl RangeTask<'_> {
    /// Runs the body on one range and keeps its panic: unwinding must not enter C++.
    pub(crate) fn run(&self, start: usize, end: usize) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.body)(start..end))) {
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
        }
    }
}

/// Sets how many threads one libtorch operation uses, the caller's included. Results are bit-equal only for equal numbers.
pub fn set_num_threads(threads: usize) -> Result<(), Error> {
    ffi::set_num_threads(thread_count("set_num_threads", threads)?)
        .map_err(|exception| Error::from_local_exception("set_num_threads", &exception))
}

/// How many threads one libtorch operation uses.
pub fn get_num_threads() -> usize {
    usize::try_from(ffi::get_num_threads()).unwrap_or(1)
}

/// Sets how many operations libtorch itself may run at a time. Temper runs one at a time and wants 1.
///
/// libtorch takes this once, before any such work has started; a second call is an error.
pub fn set_num_interop_threads(threads: usize) -> Result<(), Error> {
    ffi::set_num_interop_threads(thread_count("set_num_interop_threads", threads)?)
        .map_err(|exception| Error::from_local_exception("set_num_interop_threads", &exception))
}

fn thread_count(what: &'static str, threads: usize) -> Result<i32, Error> {
    i32::try_from(threads).ok().filter(|&threads| threads > 0).ok_or_else(|| Error::Argument {
        what,
        argument: "threads",
        reason: format!("{threads} is not a number from 1 to {}", i32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn ranges_cover_every_index_once() {
        for (length, grain) in [(0, 1), (1, 1), (7, 3), (1000, 1), (1000, 400), (5, 100)] {
            let visits: Vec<AtomicU32> = (0..length).map(|_| AtomicU32::new(0)).collect();
            parallel_for(length, grain, |range| {
                for index in range {
                    visits[index].fetch_add(1, Ordering::Relaxed);
                }
            });
            assert!(visits.iter().all(|count| count.load(Ordering::Relaxed) == 1), "length {length}, grain {grain}");
        }
    }

    #[test]
    fn several_threads_take_part() {
        if get_num_threads() < 2 {
            return;
        }
        let ranges = AtomicU32::new(0);
        parallel_for(2, 1, |range| {
            assert_eq!(range.len(), 1);
            ranges.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(ranges.load(Ordering::Relaxed), 2, "OpenMP was not compiled in");
    }

    #[test]
    fn a_panic_in_the_body_reaches_the_caller() {
        let raised = catch_unwind(|| {
            parallel_for(100, 1, |range| assert!(!range.contains(&99), "index 99"));
        });
        let payload = raised.expect_err("the body panics");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"index 99"));
    }

    #[test]
    fn zero_threads_are_refused() {
        assert!(matches!(set_num_threads(0), Err(Error::Argument { argument: "threads", .. })));
        assert!(matches!(set_num_interop_threads(usize::MAX), Err(Error::Argument { .. })));
    }
}
