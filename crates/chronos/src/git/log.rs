//! Reading `git log --raw -z`.
//!
//! The stream is fields that each end with a NUL. A commit is five of them (its hash behind a `0x01`, author, author
//! time, subject, and an empty one), then its changes: a field of modes and status behind a colon, and a field with
//! the path. Paths are bytes; git does not promise text.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::failure::{Failure, Outcome};

/// The header of one commit; `%x00` ends each field.
const FORMAT: &str = "--format=tformat:%x01%H%x00%an%x00%at%x00%s";

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One commit, as git tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) author: String,
    /// Seconds since the Unix epoch.
    pub(crate) authored_at: i64,
    pub(crate) subject: String,
    pub(crate) changes: Vec<(Change, Vec<u8>)>,
}

/// A running `git log`.
pub(crate) struct Log {
    child: Child,
    commits: Commits<BufReader<ChildStdout>>,
}

impl Log {
    /// Starts reading the history of the repository at `path`, oldest commit first.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let mut child = git(path)
            .args(["log", "--reverse", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-color", FORMAT])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| Failure::failed(format!("cannot run git: {e}; import-git needs it on the PATH")))?;
        let stdout = child.stdout.take().expect("standard output was just piped");
        Ok(Self { child, commits: Commits::new(BufReader::with_capacity(1 << 16, stdout)) })
    }

    /// The next commit, `None` when git is done and was content.
    pub(crate) fn next(&mut self) -> Outcome<Option<Commit>> {
        match self.commits.next() {
            Some(Ok(commit)) => Ok(Some(commit)),
            Some(Err(e)) => Err(Failure::failed(format!("cannot read git's output: {e}"))),
            None => self.ended().map(|()| None),
        }
    }

    fn ended(&mut self) -> Outcome {
        let mut complaint = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            // Its exit status says the same with less detail.
            let _ = stderr.read_to_string(&mut complaint);
        }
        let status = self.child.wait().map_err(|e| Failure::failed(format!("lost git: {e}")))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::failed(format!("git log failed ({status}): {}", complaint.trim())))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Done already, or nobody reads on: either way it is not needed, and must not stay behind as a zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn git(path: &Path) -> Command {
    let mut command = Command::new("git");
    command.args([OsStr::new("-C"), path.as_os_str()]);
    command
}

/// The repository's name: that of its top directory (a bare one's without `.git`).
pub(crate) fn repository_name(path: &Path) -> Outcome<String> {
    let output = git(path)
        .args(["rev-parse", "--path-format=absolute", "--git-common-dir"])
        .output()
        .map_err(|e| Failure::failed(format!("cannot run git: {e}; import-git needs it on the PATH")))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::failed(format!(
            "{} is no git repository: {}",
            path.display(),
            complaint.trim()
        )));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    name_of(Path::new(text.trim_end())).ok_or_else(|| {
        Failure::usage(format!("cannot name the repository at {}; give --name", path.display()))
    })
}

fn name_of(git_dir: &Path) -> Option<String> {
    let last = git_dir.file_name()?.to_str()?;
    let name = match last {
        ".git" => git_dir.parent()?.file_name()?.to_str()?,
        bare => bare.strip_suffix(".git").unwrap_or(bare),
    };
    Some(name.to_owned())
}

/// The commits of a stream.
struct Commits<R> {
    input: R,
    /// A commit's first field, read when the one before ended.
    pending: Option<Vec<u8>>,
}

impl<R: BufRead> Commits<R> {
    fn new(input: R) -> Self {
        Self { input, pending: None }
    }

    fn field(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut field = Vec::new();
        self.input.read_until(0, &mut field)?;
        match field.pop() {
            None => Ok(None),
            Some(0) => Ok(Some(field)),
            Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn required(&mut self) -> io::Result<Vec<u8>> {
        self.field()?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn commit(&mut self) -> io::Result<Option<Commit>> {
        let Some(first) = self.header()? else { return Ok(None) };
        let sha = first.strip_prefix(b"\x01").ok_or_else(|| unexpected("a commit", &first))?;
        let sha = text(sha);
        let author = text(&self.required()?);
        let authored_at = text(&self.required()?);
        let authored_at = authored_at.parse().map_err(|_| unexpected("a time", authored_at.as_bytes()))?;
        let subject = text(&self.required()?);
        Ok(Some(Commit { sha, author, authored_at, subject, changes: self.changes()? }))
    }

    fn header(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.pending.take() {
            Some(field) => Ok(Some(field)),
            None => self.field(),
        }
    }

    fn changes(&mut self) -> io::Result<Vec<(Change, Vec<u8>)>> {
        let mut changes = Vec::new();
        while let Some(field) = self.field()? {
            match field.as_slice() {
                [] => {}
                [b'\x01', ..] => {
                    self.pending = Some(field);
                    break;
                }
                [b'\n', entry @ ..] | entry => {
                    let change = change(entry)?;
                    changes.push((change, self.required()?));
                }
            }
        }
        Ok(changes)
    }
}

impl<R: BufRead> Iterator for Commits<R> {
    type Item = io::Result<Commit>;

    fn next(&mut self) -> Option<io::Result<Commit>> {
        self.commit().transpose()
    }
}

/// `:100644 100644 <old> <new> M`
fn change(entry: &[u8]) -> io::Result<Change> {
    match (entry.first(), entry.last()) {
        (Some(b':'), Some(b'A')) => Ok(Change::Added),
        // T: the same path became a link, a file or a submodule.
        (Some(b':'), Some(b'M' | b'T')) => Ok(Change::Modified),
        (Some(b':'), Some(b'D')) => Ok(Change::Deleted),
        _ => Err(unexpected("a change", entry)),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn unexpected(wanted: &str, found: &[u8]) -> io::Error {
    io::Error::other(format!("expected {wanted}, found {:?}", String::from_utf8_lossy(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commits(stream: &[u8]) -> Vec<Commit> {
        Commits::new(stream).map(Result::unwrap).collect()
    }

    #[test]
    fn commits_with_changes_without_and_a_strange_path() {
        let stream = b"\x01aa\0Ann \xc3\x96\x005\0first\0\n:0 1 0 1 A\0a.txt\0:0 1 0 1 A\0\x01odd\npath\0\
            \0\x01bb\0Bo\x006\0empty\0\x01cc\0Bo\x007\0last\0\n:1 0 1 0 D\0a.txt\0:1 1 1 2 M\0b\xff\0";
        let commits = commits(stream);
        assert_eq!(commits.len(), 3);
        assert_eq!(commits[0].author, "Ann Ö");
        assert_eq!(commits[0].authored_at, 5);
        assert_eq!(commits[0].changes[0], (Change::Added, b"a.txt".to_vec()));
        assert_eq!(commits[0].changes[1], (Change::Added, b"\x01odd\npath".to_vec()));
        assert_eq!(commits[1].changes, []);
        assert_eq!(commits[2].subject, "last");
        assert_eq!(commits[2].changes[1], (Change::Modified, b"b\xff".to_vec()));
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error_not_a_shorter_history() {
        let whole = b"\x01aa\0Ann\x005\0first\0\n:0 1 0 1 A\0a.txt\0";
        for length in 1..whole.len() {
            let complete = whole[..length].ends_with(b"first\0");
            let read: io::Result<Vec<_>> = Commits::new(&whole[..length]).collect();
            assert_eq!(read.is_ok(), complete, "cut at {length}");
        }
    }

    #[test]
    fn a_repository_is_named_by_its_directory() {
        assert_eq!(name_of(Path::new("/src/shop/.git")).as_deref(), Some("shop"));
        assert_eq!(name_of(Path::new("/srv/git/shop.git")).as_deref(), Some("shop"));
        assert_eq!(name_of(Path::new("/")), None);
    }
}
