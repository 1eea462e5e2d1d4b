//! Helm as a process.

use crate::{Manifest, repository};
use anyhow::{Context, bail};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The variable that says where Helm is.
pub const TEMPER_HELM: &str = "TEMPER_HELM";
/// How to get it.
const ADVICE: &str = "run: make setup-charts && eval \"$(make -s env)\"";

/// Helm, and what it is to render the chart for.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    release: String,
    namespace: String,
    api_versions: Vec<String>,
}

impl Helm {
    /// The Helm that `TEMPER_HELM` names, for a release `temper` in `temper-system` on a cluster without the Prometheus operator.
    ///
    /// # Errors
    /// When it is not there, with the command that builds it.
    pub fn find() -> anyhow::Result<Self> {
        let Some(program) = std::env::var_os(TEMPER_HELM).map(PathBuf::from) else { bail!("{TEMPER_HELM} is not set; {ADVICE}") };
        if !program.is_file() {
            bail!("{TEMPER_HELM} names {}, which is not there; {ADVICE}", program.display());
        }
        Ok(Self { program, release: "temper".to_owned(), namespace: "temper-system".to_owned(), api_versions: Vec::new() })
    }

    /// The same for a release of another name in another namespace.
    #[must_use]
    pub fn release(self, name: &str, namespace: &str) -> Self {
        Self { release: name.to_owned(), namespace: namespace.to_owned(), ..self }
    }

    /// The same for a cluster that serves one more API, such as `monitoring.coreos.com/v1`.
    #[must_use]
    pub fn serving(mut self, api_version: &str) -> Self {
        self.api_versions.push(api_version.to_owned());
        self
    }

    /// The objects that the chart makes with these values; in the order in which Helm makes them, the test's pod included.
    ///
    /// # Errors
    /// Helm's words, where it refuses.
    pub fn template(&self, values: &Value) -> anyhow::Result<Vec<Manifest>> {
        let mut arguments = vec!["template", &self.release, "--namespace", &self.namespace, "--include-crds", "--kube-version", "1.37.0"];
        for version in &self.api_versions {
            arguments.extend(["--api-versions", version]);
        }
        let output = self.run(&arguments, values)?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Manifest::parse(&String::from_utf8(output.stdout).context("Helm's output is not UTF-8")?)
    }

    /// What `helm lint --strict` says.
    ///
    /// # Errors
    /// The same, where it finds something wrong.
    pub fn lint(&self, values: &Value) -> anyhow::Result<String> {
        let output = self.run(&["lint", "--strict", "--namespace", &self.namespace, "--kube-version", "1.37.0"], values)?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(said) } else { bail!("{said}") }
    }

    /// What `helm install` would print at its end.
    ///
    /// # Errors
    /// Helm's words, where it refuses.
    pub fn notes(&self, values: &Value) -> anyhow::Result<String> {
        let output = self.run(&["install", &self.release, "--namespace", &self.namespace, "--dry-run=client"], values)?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.split_once("NOTES:") {
            Some((_, notes)) => Ok(notes.trim().to_owned()),
            None => bail!("no notes in: {text}{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    fn run(&self, arguments: &[&str], values: &Value) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg(repository::path("charts/temper")).args(["--values", "-"]);
        // The user's repositories, plugins and clusters have no say in what the chart is.
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "KUBECONFIG"] {
            command.env(name, "/nonexistent");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        // Dropped at the end of the statement, so that Helm sees the end of its input.
        child
            .stdin
            .take()
            .context("Helm has an input")?
            .write_all(values.to_string().as_bytes())
            .context("Helm does not read its values")?;
        child.wait_with_output().context("Helm's output cannot be read")
    }
}
