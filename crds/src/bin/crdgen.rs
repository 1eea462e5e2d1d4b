//! Writes the CRD YAML: into a folder if one is named, else to standard output.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1);
    for (name, crd) in temper_crds::crd::all() {
        let yaml = match temper_crds::crd::to_yaml(&crd) {
            Ok(yaml) => yaml,
            Err(error) => {
                eprintln!("cannot write {name} as YAML: {error}");
                return ExitCode::FAILURE;
            }
        };
        match &folder {
            None => print!("---\n{yaml}"),
            Some(folder) => {
                let path = Path::new(folder).join(name);
                if let Err(error) = std::fs::write(&path, yaml) {
                    eprintln!("cannot write {}: {error}; does the folder exist, and may you write to it?", path.display());
                    return ExitCode::FAILURE;
                }
                println!("wrote {}", path.display());
            }
        }
    }
    ExitCode::SUCCESS
}
