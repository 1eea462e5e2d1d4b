//! What happens to a finished training while its last checkpoint is still being copied.

use crate::job::{Job, send};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use temper_contract::config::{Credentials, Remote};
use temper_contract::{Event, ExitCode, LastWord, StageReport};

/// The URL of a store that has nothing, and answers nothing but that.
fn silent_store() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        let mut unanswered = Vec::new();
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_until(b'\n', &mut head).is_ok_and(|bytes| bytes > 0) {}
            if String::from_utf8_lossy(&head).contains("list-type") {
                let body = "<ListBucketResult></ListBucketResult>";
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nConnection: close";
                let _ = write!(stream.get_mut(), "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            } else {
                unanswered.push(stream);
            }
        }
    });
    url
}

fn copied_to(job: Job, url: &str) -> Job {
    let folder = job.path("secret");
    fs::create_dir(&folder).expect("writable");
    for (key, value) in [("accessKeyId", "AKIA"), ("secretAccessKey", "secret"), ("region", "us-east-1"), ("endpoint", url)] {
        fs::write(folder.join(key), value).expect("writable");
    }
    job.with(|config| {
        let credentials = Credentials { secret: "s3-keys".to_owned(), folder };
        config.checkpoint.mirror = Some(Remote { uri: "s3://bucket/copies".to_owned(), revision: None, credentials: Some(credentials) });
    })
}

#[test]
fn a_rank_that_copies_is_not_stalled_and_takes_nothing_back_when_it_is_lost() {
    let job = copied_to(Job::new(), &silent_store());
    job.must("prepare");
    let mut running = job.start("train");
    running.wait_for("end", |event| matches!(event, Event::Finished { .. }));
    running.wait_for("sign of the copy", |event| matches!(event, Event::Preparing { stage, .. } if stage == "uploading"));
    // No restart is left.
    send(running.ranks()[0], Signal::KILL);
    let outcome = running.finish();
    outcome.expect(ExitCode::Success);
    assert!(outcome.restarts().is_empty(), "{:?}", outcome.restarts());
    assert_eq!(job.last_word(), LastWord::Done(StageReport::Trained(job.train_report())));
    job.must("publish");
}

#[test]
fn who_is_told_to_stop_does_not_wait_for_a_store_that_does_not_answer() {
    let job = copied_to(Job::new(), &silent_store());
    job.must("prepare");
    let mut running = job.start("train");
    running.wait_for("sign of the copy", |event| matches!(event, Event::Preparing { stage, .. } if stage == "uploading"));
    send(running.pid(), Signal::TERM);
    let outcome = running.finish();
    outcome.expect(ExitCode::Success);
    assert!(outcome.warnings().iter().any(|warning| warning.contains("signal to stop")), "{:?}", outcome.warnings());
    assert_eq!(job.last_word(), LastWord::Done(StageReport::Trained(job.train_report())), "training was done");
}
