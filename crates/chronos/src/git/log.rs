//! Reading `git log --raw -z`.
//!
//! The stream is fields that each end with a NUL. A commit is five of them (its hash behind a `0x01`, author, author
//! time, subject, and an empty one), then its changes: a field of modes and status behind a colon, and a field with
//! the path. Paths are bytes; git does not promise text.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
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
    /// Seconds since the Unix epoch; `None` when the commit does not say it in a form that is a time.
    pub(crate) authored_at: Option<i64>,
    pub(crate) subject: String,
    pub(crate) changes: Vec<(Change, Vec<u8>)>,
}

/// A running `git log`.
pub(crate) struct Log {
    path: PathBuf,
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
        let commits = Commits::new(BufReader::with_capacity(1 << 16, stdout));
        Ok(Self { path: path.to_owned(), child, commits })
    }

    /// The next commit, `None` when git is done and was content.
    pub(crate) fn next(&mut self) -> Outcome<Option<Commit>> {
        match self.commits.next() {
            Some(Ok(commit)) => Ok(Some(self.dated(commit))),
            Some(Err(e)) => {
                let place = match self.commits.last.as_str() {
                    "" => "at its beginning".to_owned(),
                    sha => format!("at or after commit {sha}"),
                };
                Err(Failure::failed(format!("cannot read git's output {place}: {e}")))
            }
            None => self.ended().map(|()| None),
        }
    }

    /// `git log` shows no time that is before 1970; the commit itself has it.
    fn dated(&self, commit: Commit) -> Commit {
        let authored_at = commit.authored_at.or_else(|| self.written_time(&commit.sha));
        Commit { authored_at, ..commit }
    }

    fn written_time(&self, sha: &str) -> Option<i64> {
        let output = git(&self.path).args(["cat-file", "commit", sha]).output().ok()?;
        author_time(&output.stdout)
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

/// The seconds in `author NAME <MAIL> SECONDS ZONE` of a commit object.
fn author_time(object: &[u8]) -> Option<i64> {
    let headers = object.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let author = headers.into_iter().find_map(|line| line.strip_prefix(b"author "))?;
    let after_mail = author.rsplit(|byte| *byte == b'>').next()?;
    std::str::from_utf8(after_mail).ok()?.split_ascii_whitespace().next()?.parse().ok()
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
pub(crate) struct Commits<R> {
    input: R,
    /// A commit's first field, read when the one before ended.
    pending: Option<Vec<u8>>,
    /// The hash of the last commit that began; empty before the first.
    last: String,
}

impl<R: BufRead> Commits<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, pending: None, last: String::new() }
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
        self.last.clone_from(&sha);
        let author = text(&self.required()?);
        let authored_at = text(&self.required()?).parse().ok();
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
        assert_eq!(commits[0].authored_at, Some(5));
        assert_eq!(commits[0].changes[0], (Change::Added, b"a.txt".to_vec()));
        assert_eq!(commits[0].changes[1], (Change::Added, b"\x01odd\npath".to_vec()));
        assert_eq!(commits[1].changes, []);
        assert_eq!(commits[2].subject, "last");
        assert_eq!(commits[2].changes[1], (Change::Modified, b"b\xff".to_vec()));
    }

    #[test]
    fn a_time_that_is_none_costs_only_the_time() {
        for time in ["", "noon", "99999999999999999999999"] {
            let stream = format!("\x01aa\0Ann\0{time}\0first\0\0\x01bb\0Bo\x006\0next\0");
            let times: Vec<_> = commits(stream.as_bytes()).iter().map(|commit| commit.authored_at).collect();
            assert_eq!(times, [None, Some(6)], "{time:?}");
        }
    }

    #[test]
    fn a_commit_object_has_the_time_that_git_log_does_not_show() {
        let object = |author: &str| {
            format!("tree 12\nauthor {author}\ncommitter C <c@d> 5 +0000\n\nauthor X <x> 9 +0000")
        };
        assert_eq!(author_time(object("A <a@b> -86400 +0100").as_bytes()), Some(-86_400));
        assert_eq!(author_time(object("A > B <a@b> 7 +0000").as_bytes()), Some(7));
        for none in ["A <a@b> noon +0000", "A <a@b> 99999999999999999999 +0000", "A <a@b>", ""] {
            assert_eq!(author_time(object(none).as_bytes()), None, "{none:?}");
        }
        assert_eq!(author_time(b"tree 12\n\nauthor X <x> 9 +0000"), None, "a message is no header");
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
