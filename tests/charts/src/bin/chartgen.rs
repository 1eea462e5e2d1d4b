//! Writes what is generated from sources and from the chart; `make generate` calls it.

use anyhow::Context;
use temper_chart_tests::generated::{self, File};
use temper_chart_tests::{Helm, repository};

fn main() -> anyhow::Result<()> {
    let helm = Helm::find()?;
    let sources = generated::from_sources()?;
    write(&sources)?;
    // The chart is rendered with what was just written into it.
    let rendered = generated::from_chart(&helm)?;
    write(&rendered)?;
    for path in generated::leftovers(&[sources, rendered].concat())? {
        std::fs::remove_file(repository::path(&path)).with_context(|| format!("cannot remove {}", path.display()))?;
        println!("removed {}, which nothing makes any more", path.display());
    }
    Ok(())
}

fn write(files: &[File]) -> anyhow::Result<()> {
    for file in files {
        let path = repository::path(&file.path);
        if std::fs::read_to_string(&path).is_ok_and(|old| old == file.text) {
            continue;
        }
        let folder = path.parent().context("a file lies in a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(&path, &file.text).with_context(|| format!("cannot write {}", file.path.display()))?;
        println!("wrote {}", file.path.display());
    }
    Ok(())
}
