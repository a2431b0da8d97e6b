//! Commits as events: one about the repository, one about every file it touched.
//!
//! | event | entity | payload |
//! |---|---|---|
//! | `commit.authored` | `repo-{NAME}` | `sha`, `author`, `subject`, `files` |
//! | `file.added`, `file.modified`, `file.deleted` | `file-NAME/PATH` | `sha` (short), `author`, `path`, `subject` |
//!
//! They occurred when the commit was authored, are correlated by its short hash, and carry the tag `repo:NAME`. Their
//! ids follow from repository, commit and path, so that a history that has grown brings only what is new.

use bytes::Bytes;
use chronos_block::Draft;
use chronos_domain::{ContentType, EntityId, EventType, Tag, Timestamp};
use serde::Serialize;

use super::log::{Change, Commit};
use crate::failure::{Failure, Outcome};
use crate::ingest::derived;

/// Enough of a hash to name a commit in any repository there is.
const SHORT: usize = 16;

/// Turns the commits of one repository into events.
pub(crate) struct History {
    name: String,
    repository: EntityId,
    tag: Tag,
    authored: EventType,
    added: EventType,
    modified: EventType,
    deleted: EventType,
    skipped: Skipped,
}

/// Files that could not become entities.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    pub(crate) count: u64,
    /// Of the first few: which, where and why.
    pub(crate) first: Vec<String>,
}

/// Skipped files that are named; the others are counted.
const NAMED: usize = 5;

impl Skipped {
    fn add(&mut self, commit: &Commit, path: &[u8], reason: &str) {
        self.count += 1;
        if self.first.len() < NAMED {
            let path = String::from_utf8_lossy(path);
            self.first.push(format!("skipped {path:?} of commit {}: {reason}", commit.sha));
        }
    }
}

#[derive(Serialize)]
struct Authored<'a> {
    sha: &'a str,
    author: &'a str,
    subject: &'a str,
    files: usize,
}

#[derive(Serialize)]
struct Touched<'a> {
    sha: &'a str,
    author: &'a str,
    path: &'a str,
    subject: &'a str,
}

#[derive(Serialize)]
struct Metadata<'a> {
    correlation_id: &'a str,
    actor: &'a str,
}

impl History {
    pub(crate) fn new(name: &str) -> Outcome<Self> {
        let usage =
            |e: chronos_domain::Invalid| Failure::usage(format!("{name:?} cannot name a repository: {e}"));
        check_name(name)?;
        let event_type = |text| EventType::parse(text).expect("the names above are valid event types");
        Ok(Self {
            name: name.to_owned(),
            repository: EntityId::parse(&format!("repo-{{{name}}}")).map_err(usage)?,
            tag: Tag::parse(&format!("repo:{name}")).map_err(usage)?,
            authored: event_type("commit.authored"),
            added: event_type("file.added"),
            modified: event_type("file.modified"),
            deleted: event_type("file.deleted"),
            skipped: Skipped::default(),
        })
    }

    /// Files whose paths cannot name an entity (not UTF-8, control characters, too long) so far.
    pub(crate) fn into_skipped(self) -> Skipped {
        self.skipped
    }

    /// The commit first, then its files in git's order.
    pub(crate) fn events(&mut self, commit: &Commit) -> Vec<Draft> {
        let short = commit.sha.get(..SHORT).unwrap_or(&commit.sha);
        let mut drafts = vec![self.commit(commit, short)];
        for (change, path) in &commit.changes {
            match self.file(commit, short, *change, path) {
                Ok(draft) => drafts.push(draft),
                Err(reason) => self.skipped.add(commit, path, &reason),
            }
        }
        drafts
    }

    fn commit(&self, commit: &Commit, short: &str) -> Draft {
        let payload = Authored {
            sha: &commit.sha,
            author: &commit.author,
            subject: &commit.subject,
            files: commit.changes.len(),
        };
        self.draft(commit, short, (self.repository.clone(), self.authored.clone()), &payload)
    }

    fn file(&self, commit: &Commit, short: &str, change: Change, path: &[u8]) -> Result<Draft, String> {
        let path = std::str::from_utf8(path).map_err(|_| "the path is not UTF-8".to_owned())?;
        let entity = EntityId::parse(&format!("file-{}/{path}", self.name)).map_err(|e| e.to_string())?;
        let event_type = match change {
            Change::Added => &self.added,
            Change::Modified => &self.modified,
            Change::Deleted => &self.deleted,
        };
        let payload = Touched { sha: short, author: &commit.author, path, subject: &commit.subject };
        Ok(self.draft(commit, short, (entity, event_type.clone()), &payload))
    }

    fn draft(
        &self,
        commit: &Commit,
        short: &str,
        (entity_id, event_type): (EntityId, EventType),
        payload: &impl Serialize,
    ) -> Draft {
        let parts: [&[u8]; 4] =
            [b"git", self.name.as_bytes(), commit.sha.as_bytes(), entity_id.as_str().as_bytes()];
        Draft {
            event_id: derived::event_id(&parts),
            entity_id,
            event_type,
            content_type: ContentType::json(),
            payload: json(payload),
            metadata: json(&Metadata { correlation_id: short, actor: &commit.author }),
            tags: vec![self.tag.clone()],
            occurred_at: commit.authored_at.and_then(micros),
        }
    }
}

/// `None` for a time so far away that microseconds cannot say it: a wrong time would be worse than none.
fn micros(seconds: i64) -> Option<Timestamp> {
    seconds.checked_mul(1_000_000).map(Timestamp::new)
}

/// A name is one part of the entities' ids, and what stands in braces in one of them.
fn check_name(name: &str) -> Outcome {
    let reason = match name {
        "" => "it is empty",
        "." | ".." => "it means another directory",
        _ if name.contains(['{', '}', '/', '\\']) => "it has a brace or a slash",
        _ if name.contains("..") => "it has `..`",
        _ => return Ok(()),
    };
    Err(Failure::usage(format!("{name:?} cannot name a repository: {reason}; give another with --name")))
}

fn json(value: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("strings and numbers always serialize"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> Commit {
        Commit {
            sha: "0123456789abcdef0123456789abcdef01234567".into(),
            author: "Ann \"A\" Ö".into(),
            authored_at: Some(7),
            subject: "add it".into(),
            changes: vec![
                (Change::Added, b"src/a b.rs".to_vec()),
                (Change::Deleted, b"bad\xff".to_vec()),
                (Change::Modified, vec![b'x'; 300]),
                (Change::Modified, b"tab\there".to_vec()),
            ],
        }
    }

    #[test]
    fn a_commit_and_its_files_become_events() {
        let mut history = History::new("shop").unwrap();
        let drafts = history.events(&commit());
        assert_eq!(drafts.len(), 2);
        let skipped = history.into_skipped();
        assert_eq!(skipped.count, 3);
        assert_eq!(
            skipped.first[0],
            "skipped \"bad\u{fffd}\" of commit 0123456789abcdef0123456789abcdef01234567: the path is not UTF-8"
        );
        assert!(skipped.first[2].contains("control"), "{}", skipped.first[2]);
        assert_eq!(drafts[0].entity_id.as_str(), "repo-{shop}");
        assert_eq!(drafts[0].event_type.as_str(), "commit.authored");
        assert_eq!(
            std::str::from_utf8(&drafts[0].payload).unwrap(),
            r#"{"sha":"0123456789abcdef0123456789abcdef01234567","author":"Ann \"A\" Ö","subject":"add it","files":4}"#
        );
        assert_eq!(drafts[1].entity_id.as_str(), "file-shop/src/a b.rs");
        assert_eq!(drafts[1].event_type.as_str(), "file.added");
        assert_eq!(drafts[1].occurred_at, Some(Timestamp::new(7_000_000)));
        assert_eq!(
            std::str::from_utf8(&drafts[1].metadata).unwrap(),
            r#"{"correlation_id":"0123456789abcdef","actor":"Ann \"A\" Ö"}"#
        );
    }

    #[test]
    fn only_the_first_skipped_files_are_named() {
        let mut history = History::new("shop").unwrap();
        let changes = vec![(Change::Added, b"\xff".to_vec()); 12];
        history.events(&Commit { changes, ..commit() });
        let skipped = history.into_skipped();
        assert_eq!((skipped.count, skipped.first.len()), (12, NAMED));
    }

    #[test]
    fn a_time_that_cannot_be_said_is_left_out() {
        let occurred = |authored_at| {
            let drafts = History::new("shop").unwrap().events(&Commit { authored_at, ..commit() });
            drafts[0].occurred_at
        };
        assert_eq!(occurred(Some(-1)), Some(Timestamp::new(-1_000_000)));
        assert_eq!(occurred(Some(i64::MAX / 1000)), None);
        assert_eq!(occurred(None), None);
    }

    #[test]
    fn ids_follow_from_repository_commit_and_path() {
        let ids = |name: &str, commit: &Commit| -> Vec<_> {
            History::new(name).unwrap().events(commit).iter().map(|draft| draft.event_id).collect()
        };
        let mut reworded = commit();
        reworded.subject = "other words".into();
        assert_eq!(ids("shop", &commit()), ids("shop", &reworded));
        assert_ne!(ids("shop", &commit())[0], ids("mall", &commit())[0]);
        assert_ne!(ids("shop", &commit())[0], ids("shop", &commit())[1]);
    }

    #[test]
    fn a_name_that_cannot_be_an_entity_is_a_usage_error() {
        assert!(History::new(&"x".repeat(300)).is_err());
        assert!(History::new("a\nb").is_err());
        for name in ["", ".", "..", "a/b", "a{b", "a}b", "a\\b", "a..b"] {
            assert!(History::new(name).is_err(), "{name:?}");
        }
        assert!(History::new("next.js").is_ok());
    }
}
