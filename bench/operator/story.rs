//! What becomes of the jobs of a namespace, as a watch tells it.

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use std::collections::HashMap;
use temper_cluster_tests::Namespace;
use temper_crds::condition::{COMPLETE, ConditionStatus, FAILED, READY};
use temper_crds::{FineTuneJob, FineTuneJobStatus};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Something about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Its trainers' metrics are in its status, anew.
    Live(String),
    /// It is done.
    Complete(String),
    /// It will not be; why.
    Failed(String, String),
}

/// The news of a namespace, from now on.
pub(crate) struct Story {
    news: mpsc::UnboundedReceiver<News>,
    task: JoinHandle<()>,
}

impl Drop for Story {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Story {
    /// Begins to listen.
    pub(crate) fn of(namespace: &Namespace) -> Self {
        let jobs: Api<FineTuneJob> = namespace.api();
        let (sender, news) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut known: HashMap<String, FineTuneJobStatus> = HashMap::new();
            let mut changes = std::pin::pin!(watcher(jobs, watcher::Config::default()).default_backoff());
            while let Some(change) = changes.next().await {
                let Ok(Event::Apply(job) | Event::InitApply(job)) = change else { continue };
                let (name, after) = (job.name_any(), job.status.unwrap_or_default());
                let before = known.insert(name.clone(), after.clone()).unwrap_or_default();
                for item in told(&name, &before, &after) {
                    if sender.send(item).is_err() {
                        return;
                    }
                }
            }
        });
        Self { news, task }
    }

    /// The next news.
    pub(crate) async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }
}

fn told(name: &str, before: &FineTuneJobStatus, after: &FineTuneJobStatus) -> Vec<News> {
    let updated = |status: &FineTuneJobStatus| status.trainer_status.as_ref().and_then(|trainer| trainer.last_updated_time.clone());
    let mut news = Vec::new();
    if updated(after).is_some() && updated(before) != updated(after) {
        news.push(News::Live(name.to_owned()));
    }
    if holds(after, COMPLETE) && !holds(before, COMPLETE) {
        news.push(News::Complete(name.to_owned()));
    }
    if holds(after, FAILED) && !holds(before, FAILED) {
        let ready = after.conditions.iter().find(|condition| condition.type_ == READY);
        news.push(News::Failed(name.to_owned(), ready.map(|ready| ready.message.clone()).unwrap_or_default()));
    }
    news
}

fn holds(status: &FineTuneJobStatus, type_: &str) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == type_ && condition.status == ConditionStatus::True)
}

#[cfg(test)]
mod tests {
    use super::{News, told};
    use serde_json::{Value, json};
    use temper_crds::FineTuneJobStatus;

    fn status(value: Value) -> FineTuneJobStatus {
        serde_json::from_value(value).expect("a status")
    }

    #[test]
    fn each_news_is_told_once() {
        let nothing = FineTuneJobStatus::default();
        let live = status(json!({ "trainerStatus":
            { "step": 1, "totalSteps": 2, "progressPercentage": 50, "lastUpdatedTime": "2026-01-01T00:00:00Z" } }));
        let mut done = live.clone();
        done.conditions = status(json!({ "conditions": [
            { "type": "Complete", "status": "True", "reason": "Complete", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" },
        ] }))
        .conditions;
        assert_eq!(told("a", &nothing, &live), [News::Live("a".to_owned())]);
        assert_eq!(told("a", &live, &done), [News::Complete("a".to_owned())]);
        assert_eq!(told("a", &done, &done), []);
    }
}
