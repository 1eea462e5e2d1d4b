//! Credentials have no way out: not by logs, errors or files.

use crate::place::{bytes, folder, quiet, settings, with_secret};
use crate::proxy::{Fault, Proxy};
use crate::s3::writer;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use temper_storage::{Purpose, Settings, blocking};
use temper_test_stores::{HubServer, SIGNATURE};
use temper_test_stores::{s3, s3_bucket, unique};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("sound").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn everything_below(folder: &Path, found: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).expect("it is there").flatten() {
        if entry.path().is_dir() {
            everything_below(&entry.path(), found);
        } else {
            found.extend(std::fs::read(entry.path()).expect("readable"));
        }
    }
}

#[test]
fn a_secrets_values_are_found_nowhere() {
    let log = Log::default();
    let writer_of_log = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer_of_log.clone()).finish();
    let mut said = String::new();
    let target = tempfile::tempdir().expect("a folder");
    tracing::subscriber::with_default(subscriber, || {
        let keys = [("accessKeyId", "AKIA-canary-id"), ("secretAccessKey", "canary-secret-key"), ("sessionToken", "canary-session-token")];
        let bucket = s3_bucket(&format!("bucket-{}", unique()));
        let source = folder(&[("a.bin", bytes(6 << 20, 1)), ("b", b"b".to_vec())]);
        for (at, fault) in [None, Some(Fault::Status(403)), Some(Fault::Status(500)), Some(Fault::CutAfter(3))].into_iter().enumerate() {
            let proxy = Proxy::start(&s3().address, |_| (), move |_| fault);
            let url = proxy.url();
            let keys: Vec<(&str, &str)> = keys.into_iter().chain([("endpoint", url.as_str())]).collect();
            let (remote, _secret) = with_secret(&format!("s3://{bucket}/a"), "s3-keys", &keys);
            let up = blocking::upload(source.path(), &remote, &writer(0), &settings(), &quiet);
            let down = blocking::fetch(&remote, Purpose::Everything, &target.path().join(format!("s3-{at}")), &settings(), &quiet);
            said += &format!("{up:?} {down:?} ");
        }
        let hub = HubServer::start(&[("config.json", b"{}".to_vec()), ("model.safetensors", bytes(5000, 1))]);
        let settings = Settings { hub_endpoint: hub.endpoint(), ..settings() };
        for (at, required) in ["hf_canary_token", "hf_another"].into_iter().enumerate() {
            hub.requires(required);
            let (remote, _secret) = with_secret("hf://o/n", "hf-token", &[("token", "hf_canary_token")]);
            let down = blocking::fetch(&remote, Purpose::Model, &target.path().join(format!("hf-{at}")), &settings, &quiet);
            said += &format!("{down:?} ");
        }
    });
    let logged = String::from_utf8_lossy(&log.0.lock().expect("sound")).into_owned();
    assert!(logged.len() > 1000 && said.contains("Denied") && said.contains("Ok("), "something was logged and said: {said}");
    let mut written = Vec::new();
    everything_below(target.path(), &mut written);
    let written = String::from_utf8_lossy(&written).into_owned();
    for value in ["canary-secret-key", "canary-session-token", "hf_canary_token", SIGNATURE] {
        for (place, text) in [("the log", &logged), ("the errors", &said), ("the files", &written)] {
            let around = text.find(value).map(|at| &text[at.saturating_sub(300)..(at + 50).min(text.len())]);
            assert!(around.is_none(), "{value} is in {place}: ...{}...", around.unwrap_or_default());
        }
    }
}
