#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;
use shepard_cloud::CloudError;

use super::*;

/// What nothing may repeat.
const CANARY: &str = "canary-3f1c9a57";

#[derive(Default)]
struct Store {
    kept: Mutex<Vec<Secret>>,
    /// Reading is not allowed.
    blind: bool,
    writes: Mutex<usize>,
}

#[async_trait]
impl Secrets for Store {
    async fn read(&self) -> shepard_cloud::Result<Vec<Secret>> {
        if self.blind {
            return Err(CloudError::new("read the secret", "s", Kind::Denied));
        }
        Ok(self.kept.lock().unwrap().clone())
    }
    async fn write(&self, secrets: &[Secret]) -> shepard_cloud::Result<Written> {
        *self.kept.lock().unwrap() = secrets.to_vec();
        *self.writes.lock().unwrap() += 1;
        Ok(Written { store: "s".into(), version: "v".into() })
    }
}

impl Store {
    fn with(files: &[(&str, &str)]) -> Self {
        let store = Self::default();
        *store.kept.lock().unwrap() = files.iter().map(|(name, text)| secret(name, text)).collect();
        store
    }
    fn kept(&self) -> Vec<(String, String)> {
        let kept = self.kept.lock().unwrap();
        kept.iter().map(|s| (s.name.clone(), String::from_utf8_lossy(&s.bytes).into_owned())).collect()
    }
}

fn secret(name: &str, text: &str) -> Secret {
    Secret { name: name.into(), bytes: text.into() }
}

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().expect("temp");
    for (name, text) in files {
        fs::write(temp.path().join(name), text).expect("write");
    }
    let path = temp.path().to_owned();
    (temp, path)
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect()
}

#[tokio::test]
async fn a_push_replaces_the_whole_and_says_what_becomes_of_each_name() {
    let store = Store::with(&[("gone", "1"), ("other", "2"), ("same", "3")]);
    let (_temp, path) = folder(&[("new", CANARY), ("other", CANARY), ("same", "3")]);
    let plan = plan(&store, &path, false).await.expect("plan");
    let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let diff = Diff {
        added: text(&["new"]),
        changed: text(&["other"]),
        removed: text(&["gone"]),
        unchanged: text(&["same"]),
    };
    assert_eq!(plan.diff, Some(diff));
    assert!(plan.replaces() && plan.removes() && plan.changes());
    assert_eq!(plan.targets(), ["+new", "~other", "-gone"]);
    assert!(!format!("{plan:?}").contains(CANARY));
    carry_out(&store, &plan).await.expect("done").expect("sent");
    assert_eq!(store.kept(), owned(&[("new", CANARY), ("other", CANARY), ("same", "3")]));

    // Once more there is nothing to do, and nothing is sent.
    let again = super::plan(&store, &path, false).await.expect("plan");
    assert!(!again.changes() && !again.replaces());
    assert_eq!(carry_out(&store, &again).await.expect("done"), None);
    assert_eq!(*store.writes.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_merge_keeps_what_is_not_in_the_folder() {
    let store = Store::with(&[("kept", "1"), ("other", "2")]);
    let (_temp, path) = folder(&[("new", "3"), ("other", "4")]);
    let plan = plan(&store, &path, true).await.expect("plan");
    let diff = plan.diff.as_ref().expect("known");
    assert_eq!((diff.unchanged.as_slice(), diff.removed.len()), (&["kept".to_owned()][..], 0));
    assert!(plan.replaces() && !plan.removes());
    carry_out(&store, &plan).await.expect("done");
    assert_eq!(store.kept(), owned(&[("kept", "1"), ("new", "3"), ("other", "4")]));
}

#[tokio::test]
async fn who_may_not_read_may_push_and_is_told_that_nothing_is_compared() {
    let store = Store { blind: true, ..Store::with(&[("a", "1")]) };
    let (_temp, path) = folder(&[("b", "2")]);
    let plan = plan(&store, &path, false).await.expect("plan");
    assert!(plan.diff.is_none() && plan.replaces() && plan.removes() && plan.changes());
    assert!(plan.unknown.as_deref().expect("why").contains("not allowed"));
    assert_eq!((plan.names(), plan.targets()), (vec!["b".to_owned()], vec!["=b".to_owned()]));
    carry_out(&store, &plan).await.expect("done").expect("sent");
    assert_eq!(store.kept(), owned(&[("b", "2")]));
    let merge = super::plan(&store, &path, true).await.expect_err("blind");
    assert!(merge.to_string().contains("leave out --merge"), "{merge}");
    without(&store, &["b".to_owned()]).await.expect_err("blind");
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
    let store = Store::with(&[("a", "1")]);
    let (_temp, path) = folder(&[("a", "2")]);
    let plan = plan(&store, &path, false).await.expect("plan");
    store.write(&[secret("a", "theirs")]).await.expect("write");
    let error = carry_out(&store, &plan).await.expect_err("changed");
    assert!(matches!(error, OperationError::Refused(_)), "{error}");
    assert_eq!(store.kept(), owned(&[("a", "theirs")]));
}

#[tokio::test]
async fn names_are_removed_all_or_none() {
    let store = Store::with(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let gone = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let error = without(&store, &gone(&["a", "x"])).await.expect_err("no x");
    assert!(matches!(error, OperationError::NotFound(_)) && error.to_string().contains("\"x\""), "{error}");
    let plan = without(&store, &gone(&["a", "c", "a"])).await.expect("plan");
    assert_eq!((plan.asked, plan.targets()), (2, vec!["-a".to_owned(), "-c".to_owned()]));
    carry_out(&store, &plan).await.expect("done").expect("sent");
    assert_eq!(list(&store).await.expect("list"), ["b"]);
}

#[tokio::test]
async fn an_empty_folder_sends_nothing() {
    let store = Store::with(&[("a", "1")]);
    let (_temp, path) = folder(&[]);
    fs::create_dir(path.join("folder")).expect("folder");
    let plan = plan(&store, &path, false).await.expect("plan");
    assert_eq!((plan.asked, plan.changes(), plan.skipped.as_slice()), (0, false, &["folder".to_owned()][..]));
    assert_eq!(carry_out(&store, &plan).await.expect("done"), None);
    assert_eq!(store.kept().len(), 1);
}

#[test]
fn files_directly_in_the_folder_are_secrets_dotfiles_and_links_to_files_too() {
    let (_temp, path) = folder(&[(".env", "1"), ("-rf", "2"), ("a\n'b\"", "3")]);
    fs::create_dir(path.join("sub")).expect("folder");
    fs::write(path.join("sub/deep"), "4").expect("write");
    symlink(path.join(".env"), path.join("link")).expect("link");
    symlink("/nowhere", path.join("broken")).expect("link");
    let found = read(&path).expect("read");
    let names: Vec<&str> = found.secrets.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(names, ["-rf", ".env", "a\n'b\"", "link"]);
    assert_eq!(found.skipped, ["broken", "sub"]);
    assert_eq!(found.secrets[3].bytes, b"1");

    let odd = path.join(std::ffi::OsStr::from_bytes(b"odd\xff"));
    fs::write(odd, "x").expect("write");
    assert!(read(&path).expect_err("not UTF-8").to_string().contains("not UTF-8"));
    assert!(matches!(read(Path::new("/nowhere")), Err(OperationError::Io { .. })));
    assert!(read(&path.join(".env")).is_err(), "a file is no folder");
}

#[test]
fn what_is_too_large_is_said_before_it_is_read_and_exactly() {
    let most = (LIMIT - 8) / 4 * 3;
    let (_temp, path) = folder(&[("a", &"x".repeat(most))]);
    assert_eq!(read(&path).expect("fits").secrets[0].bytes.len(), most);
    fs::write(path.join("a"), "x".repeat(most + 1)).expect("write");
    let said = read(&path).expect_err("too large").to_string();
    assert!(said.contains("65540") && said.contains("65536") && said.contains("\"a\""), "{said}");
    // A sparse file of a terabyte is not read to find out.
    let huge = File::create(path.join("huge")).expect("create");
    huge.set_len(1 << 40).expect("sparse");
    let said = read(&path).expect_err("too large").to_string();
    assert!(said.contains("\"huge\", \"a\""), "{said}");
}

#[tokio::test]
async fn a_merge_counts_what_is_kept() {
    let half = "x".repeat(LIMIT / 2);
    let store = Store::with(&[("kept", &half)]);
    let (_temp, path) = folder(&[("new", &half[..LIMIT / 3])]);
    plan(&store, &path, false).await.expect("fits alone");
    let said = plan(&store, &path, true).await.expect_err("together").to_string();
    assert!(said.contains("\"kept\"") && said.contains("\"new\""), "{said}");
}
