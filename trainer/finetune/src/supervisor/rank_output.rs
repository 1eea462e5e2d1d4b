//! Reads a rank's standard output: events, a line each, among whatever libraries print there.

use std::io::{BufRead, Read};
use temper_contract::Event;

/// No event is longer; what is left of a longer line is passed over, so that it takes no more memory than this.
const LONGEST_LINE: u64 = 1 << 20;

/// Hands out events until the output ends or nobody wants more of them. Lines that are no event are a library's chatter, UTF-8 or not.
pub(super) fn read(mut output: impl BufRead, mut wants_more: impl FnMut(Event) -> bool) {
    let mut line = Vec::new();
    let mut is_rest = false;
    loop {
        line.clear();
        // An output that cannot be read is over, too.
        if !matches!(output.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line), Ok(1..)) {
            return;
        }
        let is_whole = !is_rest;
        is_rest = line.last() != Some(&b'\n');
        if is_whole
            && let Some(event) = Event::from_line(&String::from_utf8_lossy(&line))
            && !wants_more(event)
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE, read};
    use temper_contract::Event;

    fn beat(step: u64) -> Event {
        Event::Heartbeat { rank: 0, step }
    }

    fn events(output: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        read(output, |event| {
            events.push(event);
            true
        });
        events
    }

    #[test]
    fn chatter_is_passed_over_whatever_its_bytes() {
        let mut output = beat(1).to_line().into_bytes();
        output.extend(b"\nlibrary: loading\n\xff\xfe\n\n");
        output.extend(beat(2).to_line().into_bytes());
        // The last line of a process that is killed may lack its end.
        assert_eq!(events(&output), [beat(1), beat(2)]);
    }

    #[test]
    fn what_is_left_of_a_long_line_is_no_line() {
        let mut output = vec![b'x'; LONGEST_LINE as usize];
        output.extend(beat(1).to_line().into_bytes());
        output.push(b'\n');
        output.extend(beat(2).to_line().into_bytes());
        output.push(b'\n');
        assert_eq!(events(&output), [beat(2)]);
    }

    #[test]
    fn nothing_is_read_that_nobody_wants() {
        let line = beat(1).to_line() + "\n";
        let mut heard = 0;
        read(line.repeat(3).as_bytes(), |_| {
            heard += 1;
            false
        });
        assert_eq!(heard, 1);
    }
}
