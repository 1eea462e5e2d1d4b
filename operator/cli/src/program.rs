//! By which name this program was called: its own, or one by which kubectl finds plugins.

use std::ffi::OsStr;
use std::path::Path;

/// By which name this program was called. kubectl runs `kubectl-NAME` for `kubectl NAME ...`, and `kubectl_complete-NAME` to complete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// By its own.
    Temper,
    /// As kubectl's plugin.
    KubectlPlugin,
    /// To complete a command line of that plugin.
    KubectlCompletion,
}

impl Program {
    /// The program that is meant by the name it was called by.
    pub fn called(argument_0: Option<&OsStr>) -> Self {
        match argument_0.map(Path::new).and_then(Path::file_stem).and_then(OsStr::to_str) {
            Some("kubectl-temper") => Self::KubectlPlugin,
            Some("kubectl_complete-temper") => Self::KubectlCompletion,
            _ => Self::Temper,
        }
    }

    /// What a person types.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Temper => "temper",
            Self::KubectlPlugin | Self::KubectlCompletion => "kubectl temper",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Program;
    use std::ffi::OsStr;

    #[test]
    fn kubectl_calls_it_by_names_of_its_own() {
        let called = |name: &str| Program::called(Some(OsStr::new(name)));
        assert_eq!(called("/usr/local/bin/kubectl-temper"), Program::KubectlPlugin);
        assert_eq!(called("kubectl_complete-temper"), Program::KubectlCompletion);
        assert_eq!([called("temper"), called("./target/release/temper"), Program::called(None)], [Program::Temper; 3]);
        assert_eq!(Program::KubectlPlugin.name(), "kubectl temper");
    }
}
