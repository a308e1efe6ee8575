//! Profiles: the old command's files, byte for byte, and names that must not lead anywhere.

use tempfile::TempDir;

use super::*;
use crate::operations::Class;

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().expect("temp dir");
    let store = Store { dir: dir.path().join("profiles"), old: None };
    (dir, store)
}

/// As Python's `json.dumps` wrote it, with a key of a later version and a name that is not ASCII.
const OLD: &str = r#"{"shepard_cli_account_number": "123456789012", "shepard_cli_role_to_assume_to_target_account": "path/sheep", "shepard_cli_secret_store": "", "shepard_cli_more": "caf\u00e9 \ud83d\udc11"}"#;

#[test]
fn a_profile_is_read_and_written_as_the_old_command_did_with_all_it_does_not_know() {
    let mut values = Values::parse(OLD).expect("a profile");
    assert_eq!(values.line(), OLD);
    assert_eq!(values.get("secret_store"), None, "a cleared value is not set");
    assert_eq!(values.role().as_deref(), Some("arn:aws:iam::123456789012:role/path/sheep"));
    values.answer("account_number", "  ");
    values.answer("dynamo_db_to_query", " sheep ");
    values.answer("secret_store", CLEAR);
    let expected = OLD.replace(r#""shepard_cli_secret_store": "", "#, "");
    let expected = expected.replace('}', r#", "shepard_cli_dynamo_db_to_query": "sheep"}"#);
    assert_eq!(values.line(), expected);
    assert_eq!(
        Values::parse(r#"{"shepard_cli_account_number": 12}"#).expect("ok").get("account_number"),
        Some("12".to_owned())
    );
    for bad in ["", "[1]", "{'a': 1}", "null"] {
        assert!(Values::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_profile_is_kept_made_current_and_removed() {
    let (_dir, store) = store();
    assert_eq!(store.list().expect("none"), []);
    assert_eq!(store.set_current("mine").expect_err("none").class(), Class::NotFound);
    store.save("mine", &Values::parse(OLD).expect("a profile")).expect("saved");
    store.save("other", &Values::default()).expect("saved");
    assert_eq!(fs::read_to_string(store.dir().join("mine")).expect("a file"), OLD);
    store.set_current("mine").expect("set");
    // Without a line's end, as the old command wrote it.
    assert_eq!(fs::read_to_string(store.dir().join(POINTER)).expect("a file"), "mine");
    let listed: Vec<_> = store.list().expect("two").into_iter().map(|one| (one.name, one.current)).collect();
    assert_eq!(listed, [("mine".to_owned(), true), ("other".to_owned(), false)]);
    assert!(!store.delete("other").expect("removed"));
    assert!(store.delete("mine").expect("removed"));
    assert_eq!(store.current().expect("none"), None);
    assert_eq!(store.clear_current().expect("none"), None);
    assert_eq!(fs::read_dir(store.dir()).expect("a folder").count(), 0, "nothing is left behind");
}

#[test]
fn no_name_leads_out_of_the_folder_or_onto_something_else() {
    let (dir, store) = store();
    fs::write(dir.path().join("prey"), "{}").expect("a file");
    store.save("mine", &Values::default()).expect("saved");
    for bad in ["", ".", "..", "../prey", "a/b", ".hidden", "a\nb", " a", "cli.py", POINTER, &"x".repeat(101)]
    {
        assert_eq!(store.save(bad, &Values::default()).expect_err(bad).class(), Class::Usage, "{bad}");
        assert_eq!(store.read(bad).expect_err(bad).class(), Class::NotFound, "{bad}");
        assert_eq!(store.delete(bad).expect_err(bad).class(), Class::NotFound, "{bad}");
    }
    assert!(dir.path().join("prey").exists());
}

/// A directory of the old command, with everything that lies there and is no profile.
fn old() -> TempDir {
    let dir = tempfile::tempdir().expect("temp dir");
    for name in ["lib.py", "cli.py", "__init__.py", ".DS_Store", "broken"] {
        fs::write(dir.path().join(name), "no JSON").expect("a file");
    }
    for name in ["__pycache__", "shepard", "temp_store"] {
        fs::create_dir(dir.path().join(name)).expect("a folder");
    }
    fs::write(dir.path().join("mine"), OLD).expect("a file");
    fs::write(dir.path().join("two words"), "{}\n").expect("a file");
    fs::write(dir.path().join(POINTER), "mine\n").expect("a file");
    dir
}

#[test]
fn an_old_directory_is_imported_as_it_is_and_nothing_of_ours_is_lost() {
    let (_dir, store) = store();
    let old = old();
    store.save("two words", &Values::parse(OLD).expect("a profile")).expect("saved");
    let fates = |replace| -> Vec<(String, Fate)> {
        let done = store.import(old.path(), replace).expect("imported");
        done.into_iter().map(|one| (one.name, one.fate)).collect()
    };
    let of = |broken, mine, words| {
        [("broken".to_owned(), broken), ("mine".to_owned(), mine), ("two words".to_owned(), words)]
    };
    assert_eq!(fates(false), of(Fate::Skipped, Fate::Imported, Fate::Skipped));
    assert_eq!(fs::read_to_string(store.dir().join("mine")).expect("a file"), OLD);
    assert_eq!(store.current().expect("set").as_deref(), Some("mine"));
    store.set_current("two words").expect("set");
    assert_eq!(fates(true), of(Fate::Skipped, Fate::Same, Fate::Imported));
    assert_eq!(fs::read_to_string(store.dir().join("two words")).expect("a file"), "{}\n");
    assert_eq!(store.current().expect("set").as_deref(), Some("two words"), "one that is set stays");
    assert!(store.import(&old.path().join("nowhere"), false).is_err());
}

#[test]
fn an_old_directory_is_read_beside_ours_and_never_written() {
    let (_dir, mut store) = store();
    let old = old();
    store.old = Some(old.path().to_owned());
    let before: Vec<_> = names(old.path()).expect("names");
    let listed = store.list().expect("three");
    assert_eq!(
        listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["broken", "mine", "two words"]
    );
    assert!(listed.iter().all(|one| one.old) && listed[1].current && listed[0].problem.is_some());
    assert_eq!(store.delete("mine").expect_err("not ours").class(), Class::Refused);
    let mut values = store.read("mine").expect("read");
    values.set("dynamo_db_to_query", Some("sheep"));
    store.save("mine", &values).expect("saved");
    assert!(!store.list().expect("three")[1].old, "ours hides it");
    assert_eq!(store.clear_current().expect("cleared").as_deref(), Some("mine"));
    assert_eq!(store.current().expect("none"), None, "whatever the old directory says");
    assert_eq!(names(old.path()).expect("names"), before);
    assert_eq!(fs::read_to_string(old.path().join("mine")).expect("a file"), OLD);
}
