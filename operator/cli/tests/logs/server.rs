//! A server that plays the part of an API server that only `temper logs` sees: one job, its pods, and logs that end, break off or hang as a
//! script says. Everything else about logs is tested against real servers; what a real one does not do on demand is tested here.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What a log's connection does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A line, with its time in milliseconds after the hour.
    Line(u64, &'static str),
    /// Waits until this was said.
    Await(&'static str),
    /// Says it.
    Say(&'static str),
    /// A pod comes, or is as it is from now on.
    Pod(Value),
    /// The job is as it is from now on.
    Job(Value),
    /// The connection breaks in mid-answer.
    Cut,
    /// Nothing more ever comes.
    Hang,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    world: Arc<World>,
}

#[derive(Default)]
struct World {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    job: Value,
    job_events: Vec<Value>,
    pods: BTreeMap<String, Value>,
    pod_events: Vec<Value>,
    /// What each pod's log does, connection by connection; after the last one it is not found.
    logs: BTreeMap<String, Vec<Vec<Step>>>,
    said: BTreeSet<&'static str>,
    asked: Vec<String>,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the server panics")
    }

    /// Waits until there is something.
    fn until<T>(&self, found: impl Fn(&mut State) -> Option<T>) -> T {
        let mut state = self.lock();
        loop {
            if let Some(value) = found(&mut state) {
                return value;
            }
            state = self.changed.wait(state).expect("no thread of the server panics");
        }
    }
}

impl Server {
    /// Serves a job until the test process ends.
    pub(crate) fn start(job: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let server = Self { address, world: Arc::new(World { state: Mutex::new(State { job, ..State::default() }), ..World::default() }) };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                // A client that has gone away ends its connection.
                std::thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    /// A pod, and what its log does, connection by connection.
    pub(crate) fn with_pod(self, pod: Value, log: Vec<Vec<Step>>) -> Self {
        let name = name_of(&pod);
        self.take(Step::Pod(pod));
        self.with_log(&name, log)
    }

    /// The log of a pod that comes later.
    pub(crate) fn with_log(self, pod: &str, log: Vec<Vec<Step>>) -> Self {
        self.world.lock().logs.insert(pod.to_owned(), log);
        self
    }

    /// What it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.world.lock().asked.clone()
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut out = stream;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let target = line.split(' ').nth(1)?.to_owned();
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).ok().filter(|read| *read > 0)?;
                if header.trim().is_empty() {
                    break;
                }
            }
            self.world.lock().asked.push(target.clone());
            self.answer(&target, &mut out)?;
        }
    }

    fn answer(&self, target: &str, out: &mut TcpStream) -> Option<()> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let watches = query.contains("watch=true");
        if let Some(pod) = path.strip_prefix("/api/v1/namespaces/ml/pods/").and_then(|rest| rest.strip_suffix("/log")) {
            return self.log(pod, since(query), out);
        }
        if path == "/api/v1/namespaces/ml/pods" {
            if watches {
                return self.watch(query, out, |state| &state.pod_events);
            }
            let state = self.world.lock();
            let list = list("PodList", state.pods.values().cloned().collect(), state.pod_events.len());
            drop(state);
            return whole(out, 200, &list);
        }
        if path == "/apis/temper.dev/v1alpha1/namespaces/ml/finetunejobs" {
            if watches {
                return self.watch(query, out, |state| &state.job_events);
            }
            let state = self.world.lock();
            let list = list("FineTuneJobList", vec![state.job.clone()], state.job_events.len());
            drop(state);
            return whole(out, 200, &list);
        }
        if path == "/apis/temper.dev/v1alpha1/namespaces/ml/finetunejobs/tiny" {
            let job = self.world.lock().job.clone();
            return whole(out, 200, &job);
        }
        whole(
            out,
            404,
            &json!({ "kind": "Status", "code": 404, "reason": "NotFound", "message": format!("{path} not found"), "details": { "name": "x" } }),
        )
    }

    /// Sends events from the version that is asked for on, for ever.
    fn watch(&self, query: &str, out: &mut TcpStream, events: impl Fn(&State) -> &Vec<Value>) -> Option<()> {
        let version = query.split('&').find_map(|part| part.strip_prefix("resourceVersion="));
        let mut next: usize = version.and_then(|version| version.parse().ok()).unwrap_or(0);
        begin(out)?;
        loop {
            let event = self.world.until(|state| events(state).get(next).cloned());
            chunk(out, &format!("{event}\n"))?;
            next += 1;
        }
    }

    fn log(&self, pod: &str, since: u64, out: &mut TcpStream) -> Option<()> {
        let script = {
            let mut state = self.world.lock();
            state.logs.get_mut(pod).filter(|scripts| !scripts.is_empty()).map(|scripts| scripts.remove(0))
        };
        let Some(script) = script else {
            return whole(
                out,
                404,
                &json!({ "kind": "Status", "code": 404, "reason": "NotFound", "message": "gone", "details": { "name": pod } }),
            );
        };
        begin(out)?;
        for step in script {
            match step {
                Step::Line(milliseconds, _) if milliseconds < since => {}
                Step::Line(milliseconds, text) => {
                    let time = format!("2026-03-02T11:00:{:02}.{:03}000000Z", milliseconds / 1000, milliseconds % 1000);
                    chunk(out, &format!("{time} {text}\n"))?;
                }
                Step::Await(word) => self.world.until(|state| state.said.contains(word).then_some(())),
                Step::Cut => return None,
                Step::Hang => loop {
                    std::thread::park();
                },
                other => self.take(other),
            }
        }
        out.write_all(b"0\r\n\r\n").ok()
    }

    fn take(&self, step: Step) {
        let mut state = self.world.lock();
        match step {
            Step::Say(word) => {
                state.said.insert(word);
            }
            Step::Pod(mut pod) => {
                let version = state.pod_events.len() + 1;
                pod["metadata"]["resourceVersion"] = json!(version.to_string());
                state.pod_events.push(json!({ "type": "MODIFIED", "object": pod }));
                state.pods.insert(name_of(&pod), pod);
            }
            Step::Job(mut job) => {
                let version = state.job_events.len() + 1;
                job["metadata"]["resourceVersion"] = json!(version.to_string());
                state.job_events.push(json!({ "type": "MODIFIED", "object": job }));
                state.job = job;
            }
            Step::Line(..) | Step::Await(_) | Step::Cut | Step::Hang => {}
        }
        drop(state);
        self.world.changed.notify_all();
    }
}

/// From when on lines are asked for, in milliseconds after the hour.
fn since(query: &str) -> u64 {
    let time = query.split('&').find_map(|part| part.strip_prefix("sinceTime=2026-03-02T11%3A00%3A"));
    time.and_then(|rest| rest.strip_suffix('Z')?.parse::<u64>().ok()).map_or(0, |second| second * 1000)
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().expect("an object has a name").to_owned()
}

fn list(kind: &str, items: Vec<Value>, version: usize) -> Value {
    json!({ "kind": kind, "apiVersion": "v1", "metadata": { "resourceVersion": version.to_string() }, "items": items })
}

fn whole(out: &mut TcpStream, code: u16, body: &Value) -> Option<()> {
    let body = body.to_string();
    let head = format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    out.write_all(format!("{head}{body}").as_bytes()).ok()
}

fn begin(out: &mut TcpStream) -> Option<()> {
    out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n").ok()
}

fn chunk(out: &mut TcpStream, text: &str) -> Option<()> {
    out.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).ok()
}
