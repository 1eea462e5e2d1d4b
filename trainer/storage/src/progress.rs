//! How far a transfer is, told in steps that are worth telling.

use std::sync::Mutex;

/// At most so many reports of one transfer.
const REPORTS: u64 = 100;
/// Steps are no smaller than this.
const SMALLEST_STEP: u64 = 1 << 20;

/// Counts bytes and tells of them.
pub(crate) struct Progress<'a> {
    total: u64,
    report: &'a (dyn Fn(u64, u64) + Send + Sync),
    state: Mutex<State>,
}

struct State {
    done: u64,
    told: u64,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(total: u64, report: &'a (dyn Fn(u64, u64) + Send + Sync)) -> Self {
        report(0, total);
        Self { total, report, state: Mutex::new(State { done: 0, told: 0 }) }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// So many more bytes are there.
    pub(crate) fn add(&self, bytes: u64) {
        self.change(|done| done.saturating_add(bytes));
    }

    /// So many bytes are needed again.
    pub(crate) fn take_back(&self, bytes: u64) {
        self.change(|done| done.saturating_sub(bytes));
    }

    fn change(&self, change: impl FnOnce(u64) -> u64) {
        let Ok(mut state) = self.state.lock() else { return };
        state.done = change(state.done);
        let step = (self.total / REPORTS).max(SMALLEST_STEP);
        let is_end = state.done >= self.total && state.told < self.total;
        if is_end || state.done >= state.told.saturating_add(step) {
            state.told = state.done;
            (self.report)(state.done.min(self.total), self.total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;
    use std::sync::Mutex;

    #[test]
    fn steps_are_told_and_the_end_once() {
        let told = Mutex::new(Vec::new());
        let report = |done, _| told.lock().expect("sound").push(done);
        let total = 1000 << 20;
        let progress = Progress::new(total, &report);
        for _ in 0..2000 {
            progress.add(1 << 19);
        }
        progress.add(0);
        let told = told.lock().expect("sound");
        assert!(told.len() <= 102, "{}", told.len());
        assert_eq!((told.first(), told.last()), (Some(&0), Some(&total)));
        assert_eq!(told.iter().filter(|done| **done == total).count(), 1);
    }
}
