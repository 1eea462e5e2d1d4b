//! Names of objects for the shell's completion, asked of the cluster that the command line names.

use crate::arguments::Cli;
use crate::arguments::cluster::AccessArgs;
use crate::cluster::access::{self, Session};
use crate::cluster::kind::Kind;
use crate::cluster::lookup;
use clap::CommandFactory;
use clap_complete::engine::{CompletionCandidate, complete};
use kube::api::ListParams;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// Nobody waits longer for a list of names.
const PATIENCE: Duration = Duration::from_secs(2);
/// More names than anybody reads.
const MOST_NAMES: u32 = 200;
/// The environment variable by which a shell's script asks for completions.
pub const VARIABLE: &str = "TEMPER_COMPLETE";
/// What kubectl's completion is told: these are all the candidates, file names are none (cobra's ShellCompDirectiveNoFileComp).
const NO_FILES: &str = ":4";

/// FineTuneJobs.
pub fn jobs(current: &OsStr) -> Vec<CompletionCandidate> {
    matching(names(Kind::FineTuneJob, &words()), current)
}

/// Kinds, and the names of the kind that is named, or of FineTuneJobs.
pub fn targets(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = words();
    match words.iter().find_map(|word| Kind::parse(word)) {
        Some(kind) => matching(names(kind, &words), current),
        None => matching(["ftj", "mv"].map(str::to_owned).into_iter().chain(names(Kind::FineTuneJob, &words)), current),
    }
}

fn matching(names: impl IntoIterator<Item = String>, current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy().into_owned();
    names.into_iter().filter(|name| name.starts_with(&current)).map(CompletionCandidate::new).collect()
}

/// The words of the command line that is being completed: the shell hands them on to this process.
fn words() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Names in the namespace that the words mean; none where they cannot be had at once.
fn names(kind: Kind, words: &[String]) -> Vec<String> {
    let arguments = access_of(words);
    let asked = access::block_on(async {
        let session = Session::open(&arguments).await?;
        let parameters = ListParams::default().limit(MOST_NAMES);
        let api = lookup::api(&session, kind);
        let list = tokio::time::timeout(PATIENCE, api.list_metadata(&parameters)).await??;
        Ok(list.items.into_iter().filter_map(|item| item.metadata.name).collect())
    });
    asked.unwrap_or_default()
}

/// The cluster and namespace that the words mean, though the command line is not whole yet.
fn access_of(words: &[String]) -> AccessArgs {
    let value = |flags: &[&str]| {
        flags.iter().find_map(|flag| {
            let follows = words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1));
            follows
                .map(String::as_str)
                .or_else(|| words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('=')))
                .map(str::to_owned)
        })
    };
    AccessArgs {
        kubeconfig: value(&["--kubeconfig"]).map(Into::into),
        context: value(&["--context"]),
        namespace: value(&["--namespace", "-n"]),
    }
}

/// Answers kubectl, which asks for the last of the words: one candidate a line, with its help behind a tab, and a directive last.
pub fn for_kubectl(words: impl Iterator<Item = OsString>) -> String {
    let mut line: Vec<OsString> = std::iter::once("temper".into()).chain(words).collect();
    if line.len() == 1 {
        line.push(OsString::new());
    }
    let last = line.len() - 1;
    let candidates = complete(&mut Cli::command(), line, last, std::env::current_dir().ok().as_deref()).unwrap_or_default();
    let mut text = String::new();
    for candidate in candidates.iter().filter(|candidate| !candidate.is_hide_set()) {
        text.push_str(&candidate.get_value().to_string_lossy());
        if let Some(help) = candidate.get_help() {
            text.push_str(&format!("\t{}", help.to_string().lines().next().unwrap_or_default()));
        }
        text.push('\n');
    }
    text + NO_FILES + "\n"
}

#[cfg(test)]
mod tests {
    use super::{access_of, for_kubectl};

    #[test]
    fn the_words_say_which_cluster_is_meant() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let found = access_of(&words("logs -n ml --context=prod --kubeconfig /k lis"));
        assert_eq!((found.namespace.as_deref(), found.context.as_deref()), (Some("ml"), Some("prod")));
        assert_eq!(found.kubeconfig.as_deref(), Some(std::path::Path::new("/k")));
        assert_eq!(access_of(&words("logs --namespace=ml")).namespace.as_deref(), Some("ml"));
        assert_eq!(access_of(&words("logs -n")), super::AccessArgs::default());
    }

    #[test]
    fn kubectl_is_told_candidates_and_that_there_are_no_others() {
        let told = for_kubectl(["su".into()].into_iter());
        assert!(told.starts_with("suspend\tHold a FineTuneJob") && told.ends_with("\n:4\n") && told.lines().count() == 2, "{told}");
        let told = for_kubectl(["logs".into(), "--st".into()].into_iter());
        assert!(told.starts_with("--stage\t"), "{told}");
        let told = for_kubectl(["logs".into(), "--stage".into(), "".into()].into_iter());
        assert_eq!(told.lines().filter_map(|line| line.split('\t').next()).collect::<Vec<_>>(), ["prepare", "train", "publish", ":4"]);
    }
}
