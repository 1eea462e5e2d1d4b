//! Folder markers: empty objects that consoles and file browsers put into a bucket for a folder, with a slash at the end of their keys.
//! Listings come without that slash, so that a marker looks like an empty file that cannot be read.

use super::Bucket;
use crate::error::{Error, Kind, Result};
use crate::source::RemoteFile;
use futures_util::{StreamExt, TryStreamExt};
use std::collections::BTreeSet;

impl Bucket {
    /// The files that are really there under their names, in the same order. Only empty ones are asked for, and those are few.
    pub(super) async fn without_missing(&self, files: Vec<RemoteFile>) -> Result<Vec<RemoteFile>> {
        let looked_for = futures_util::stream::iter(files).map(|file| async move {
            if file.size > 0 {
                return Ok::<_, Error>(Some(file));
            }
            let found = self.stat(&file).await;
            match found {
                Ok(_) => Ok(Some(file)),
                Err(error) if error.kind == Kind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        });
        let there: Vec<Option<RemoteFile>> = looked_for.buffered(self.settings.concurrency.max(1)).try_collect().await?;
        Ok(there.into_iter().flatten().collect())
    }
}

/// Leaves out empty files that others lie below: on a disk no name is both a file and a folder.
pub(super) fn without_parents(files: Vec<RemoteFile>) -> Vec<RemoteFile> {
    let empty: BTreeSet<&str> = files.iter().filter(|file| file.size == 0).map(|file| file.path.as_str()).collect();
    let folders = files.iter().flat_map(|file| file.path.match_indices('/').map(move |(at, _)| &file.path[..at]));
    let markers: BTreeSet<String> = folders.filter(|folder| empty.contains(folder)).map(str::to_owned).collect();
    files.into_iter().filter(|file| !markers.contains(&file.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::without_parents;
    use crate::source::RemoteFile;

    #[test]
    fn an_empty_file_that_others_lie_below_is_none() {
        let file = |&(path, size): &(&str, u64)| RemoteFile {
            path: path.to_owned(),
            key: format!("rows/{path}"),
            size,
            version: "v".to_owned(),
            check: None,
        };
        let listed = [("a", 0), ("a/b", 0), ("a/b/c.jsonl", 1), ("alone", 0), ("data", 2), ("data/x", 1), ("data-2", 0)];
        let kept: Vec<String> = without_parents(listed.iter().map(file).collect()).into_iter().map(|file| file.path).collect();
        assert_eq!(kept, ["a/b/c.jsonl", "alone", "data", "data/x", "data-2"]);
    }
}
