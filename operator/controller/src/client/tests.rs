use super::{Patience, Speaks, fenced, is_fenced, unfenced, watch_config};
use crate::clock::Moment;
use crate::leader::Fence;
use crate::metrics::Metrics;
use http::Uri;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, Config};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SHORT: Patience =
    Patience { connect: Duration::from_millis(200), silence: Duration::from_millis(200), write: Duration::from_millis(100) };
const LONG: Patience = Patience { connect: Duration::from_secs(60), silence: Duration::from_secs(60), write: Duration::from_secs(60) };

/// What a server was asked, first line and headers.
type Heard = Arc<Mutex<Vec<String>>>;

/// A server that answers every request in the same way, or never.
async fn server(answer: Option<&'static str>) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    let heard = Heard::default();
    let all = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heard = Arc::clone(&all);
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    heard.lock().expect("no test panics here").push(String::from_utf8_lossy(&buffer[..count]).into_owned());
                    if let Some(body) = answer {
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
                        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (address, heard)
}

fn config(address: SocketAddr) -> Config {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Config::new(format!("http://{address}").parse::<Uri>().expect("a URI"))
}

fn maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, "ml")
}

fn map() -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some("a".to_owned()), ..ObjectMeta::default() }, ..ConfigMap::default() }
}

const MAP: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
const LIST: &str = r#"{"apiVersion":"v1","kind":"ConfigMapList","metadata":{"resourceVersion":"1"},"items":[]}"#;

#[tokio::test]
async fn a_shut_fence_refuses_writes_here_and_lets_reads_through() {
    let (address, heard) = server(Some(LIST)).await;
    let (fence, metrics) = (Arc::new(Fence::unopened()), Arc::new(Metrics::new()));
    let maps = maps(fenced(&config(address), LONG, &fence, &metrics).expect("a client"));
    let error = maps.create(&PostParams::default(), &map()).await.expect_err("it does not lead");
    assert!(is_fenced(&error), "{error:?}");
    assert!(heard.lock().expect("fine").is_empty(), "nothing left the process");
    maps.list(&ListParams::default()).await.expect("reads are free");
    let page = metrics.text();
    assert!(page.contains(r#"temper_operator_api_requests_total{outcome="fenced",resource="configmaps",verb="create"} 1"#), "{page}");
    assert!(page.contains(r#"temper_operator_api_requests_total{outcome="200",resource="configmaps",verb="list"} 1"#), "{page}");
}

#[tokio::test]
async fn an_open_fence_lets_writes_through_and_tells_the_server_how_long_they_may_take() {
    let (address, heard) = server(Some(MAP)).await;
    let fence = Arc::new(Fence::unopened());
    fence.extend(Moment::now().plus(Duration::from_secs(60)));
    let maps = maps(fenced(&config(address), LONG, &fence, &Arc::default()).expect("a client"));
    maps.create(&PostParams::default(), &map()).await.expect("it leads");
    let asked = heard.lock().expect("fine").concat();
    assert!(asked.starts_with("POST /api/v1/namespaces/ml/configmaps?&timeout=60000ms HTTP/1.1"), "{asked}");
}

#[tokio::test]
async fn a_connection_that_is_open_already_refuses_too_once_the_fence_is_shut() {
    // The service's own check is left out here: what is tested is the transport, which asks again after any delay.
    let (address, heard) = server(Some(MAP)).await;
    let fence = Arc::new(Fence::unopened());
    fence.extend(Moment::now().plus(Duration::from_secs(60)));
    let transport = super::connected(&config(address), Speaks::Either, LONG, Some(Arc::clone(&fence))).expect("a transport");
    let maps = maps(Client::new(transport, "ml"));
    maps.create(&PostParams::default(), &map()).await.expect("it leads");
    let before = heard.lock().expect("fine").len();
    fence.shut();
    let error = maps.create(&PostParams::default(), &map()).await.expect_err("it does not lead any more");
    assert!(is_fenced(&error), "{error:?}");
    assert_eq!(heard.lock().expect("fine").len(), before, "nothing more left the process");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let (address, _) = server(None).await;
    let (fence, metrics) = (Arc::new(Fence::always_open()), Arc::new(Metrics::new()));
    let maps = maps(fenced(&config(address), SHORT, &fence, &metrics).expect("a client"));
    let error = maps.create(&PostParams::default(), &map()).await.expect_err("there is no answer");
    assert!(!is_fenced(&error) && error.to_string().contains("did not answer within 100ms"), "{error:?}");
    assert!(maps.list(&ListParams::default()).await.is_err(), "reads too");
    let page = metrics.text();
    assert!(page.contains(r#"temper_operator_api_requests_total{outcome="timeout",resource="configmaps",verb="create"} 1"#), "{page}");
}

#[tokio::test]
async fn an_answer_that_stops_midway_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("it connects");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").await.expect("sent");
        std::future::pending::<()>().await;
    });
    let maps = maps(unfenced(&config(address), SHORT, &Arc::default()).expect("a client"));
    maps.list(&ListParams::default()).await.expect_err("the rest never comes");
}

#[test]
fn a_dead_watch_is_noticed_within_half_a_minute() {
    let idle = watch_config().timeout.expect("it is set") + 5;
    assert!(idle <= 30);
    let silence = Patience::with_writes(Duration::from_secs(5)).silence;
    assert!(silence > Duration::from_secs(u64::from(super::WATCH_SECONDS)), "a watch that is merely quiet is not cut off");
}
