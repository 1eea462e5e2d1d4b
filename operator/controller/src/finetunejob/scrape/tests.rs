use super::{Scraped, Scraper, Target, next};
use crate::finetunejob::metrics_text::Said;
use crate::metrics::Metrics;
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn said(step: u64) -> Said {
    Said { step, total_steps: 10, training_loss: Some(1.0), ..Said::default() }
}

#[test]
fn progress_counts_from_when_a_new_step_was_seen() {
    let first = next(None, 0, &said(3), at(10));
    assert_eq!((first.last_progress, first.progress.started_at, first.progress.resumed_from_step), (at(10), at(10), 3));
    let same = next(Some(&first), 0, &said(3), at(25));
    assert_eq!((same.last_progress, same.progress.updated_at, same.progress.started_at), (at(10), at(25), at(10)));
    let moved = next(Some(&same), 0, &said(4), at(40));
    assert_eq!((moved.last_progress, moved.progress.resumed_from_step), (at(40), 3));
    let restarted = next(Some(&moved), 0, &Said { in_place_restarts: 1, ..said(4) }, at(55));
    assert_eq!(restarted.last_progress, at(55), "ranks that are restarted get their time anew");
    let evaluating = |since: f64| Said { got_on_at: Some(since), ..said(4) };
    let first = next(Some(&moved), 0, &evaluating(1.5), at(60));
    let hung = next(Some(&first), 0, &evaluating(1.5), at(75));
    let got_on = next(Some(&hung), 0, &evaluating(2.5), at(90));
    assert_eq!([hung, got_on].map(|known| known.last_progress), [at(60), at(90)], "an evaluation may take longer than a step");
}

#[test]
fn another_attempt_starts_over() {
    let first = next(None, 0, &said(9), at(10));
    let second = next(Some(&first), 1, &Said { resumed_from_step: Some(8), started_at: Some(at(30)), ..said(8) }, at(40));
    assert_eq!((second.progress.resumed_from_step, second.progress.started_at, second.last_progress), (8, at(30), at(40)));
}

#[test]
fn the_same_numbers_at_another_time_are_no_news() {
    let first = next(None, 0, &said(3), at(10));
    assert!(first.says_the_same(&next(Some(&first), 0, &said(3), at(25))));
    assert!(!first.says_the_same(&next(Some(&first), 0, &said(4), at(25))));
}

#[tokio::test]
async fn without_news_what_is_known_keeps_its_time() {
    let (sender, _news) = mpsc::unbounded_channel();
    let scraper = Scraper::new(Duration::from_secs(60), Arc::new(Metrics::new()), sender);
    let target = Target { attempt: 0, address: ([127, 0, 0, 1], 9).into() };
    scraper.watch("uid", "ml", "tiny", target.clone());
    assert!(scraper.note("uid", &target, &said(3), at(10)));
    assert!(!scraper.note("uid", &target, &said(3), at(25)));
    let updated_at = |scraped: Option<Scraped>| scraped.map(|scraped| scraped.progress.updated_at);
    assert_eq!(updated_at(scraper.latest("uid")), Some(at(10)), "or every look at the job would find a status to write");
    assert!(scraper.note("uid", &target, &said(4), at(40)));
    assert_eq!(updated_at(scraper.latest("uid")), Some(at(40)));
    assert!(!scraper.note("uid", &target, &Said { got_on_at: Some(7.0), ..said(4) }, at(55)));
    let latest = scraper.latest("uid").expect("known");
    assert_eq!((latest.progress.updated_at, latest.last_progress), (at(40), at(55)), "it gets on, and there is nothing to write");
}

/// Serves these texts in turn, the last one again and again.
async fn trainer(texts: Vec<&'static str>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let text = texts[number.min(texts.len() - 1)];
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_running_attempts_rank_0_is_asked_until_it_is_forgotten() {
    let (sender, mut news) = mpsc::unbounded_channel();
    let scraper = Scraper::new(Duration::from_millis(5), Arc::new(Metrics::new()), sender);
    let texts =
        vec!["", "temper_training_step 1\ntemper_training_total_steps 10\n", "temper_training_step 2\ntemper_training_total_steps 10\n"];
    let target = Target { attempt: 0, address: trainer(texts).await };
    scraper.watch("uid", "ml", "tiny", target.clone());
    for _ in 0..2 {
        assert_eq!(news.recv().await, Some(("ml".to_owned(), "tiny".to_owned())));
    }
    let step = |scraped: Option<Scraped>| scraped.map(|scraped| scraped.progress.step);
    assert_eq!(step(scraper.latest("uid")), Some(2));
    scraper.watch("uid", "ml", "tiny", target);
    assert_eq!(step(scraper.latest("uid")), Some(2), "the same target again changes nothing");
    scraper.forget("uid");
    assert_eq!(scraper.latest("uid"), None);
}
