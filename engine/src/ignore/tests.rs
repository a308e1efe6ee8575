use proptest::prelude::*;
use regex::Regex;

use super::*;

fn read(text: &str) -> Ignore {
    Ignore::read(text.as_bytes()).unwrap()
}

/// Whether a path is left out, asked directory by directory as a walk does.
fn out(ignore: &Ignore, path: &str) -> bool {
    let mut above = Above::default();
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let mut left_out = false;
    for end in ends {
        (left_out, above) = ignore.leaves_out(&path.as_bytes()[..end], &above);
    }
    left_out
}

#[test]
fn the_examples_of_dockers_documentation() {
    let cases: &[(&str, &str, bool)] = &[
        ("# comment\n*/temp*\n*/*/temp*\ntemp?", "somedir/temporary.txt", true),
        ("*/temp*", "somedir/temp", true),
        ("*/temp*", "temporary.txt", false),
        ("*/*/temp*", "somedir/subdir/temporary.txt", true),
        ("temp?", "tempa", true),
        ("temp?", "temp", false),
        ("temp?", "tempab", false),
        ("**/*.go", "a.go", true),
        ("**/*.go", "a/b/c.go", true),
        ("**/*.go", "a/b/c.goo", false),
        ("*.md\n!README.md", "README.md", false),
        ("*.md\n!README.md", "OTHER.md", true),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
        ("*.md\n!README*.md\nREADME-secret.md", "README-public.md", false),
        ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false),
        ("/foo/bar", "foo/bar", true),
        ("foo/bar", "foo/bar", true),
        ("foo/bar/", "foo/bar", true),
    ];
    for (text, path, expected) in cases {
        assert_eq!(out(&read(text), path), *expected, "{text:?} {path}");
    }
}

#[test]
fn a_pattern_begins_at_the_folder_and_takes_what_lies_below() {
    for (text, path, expected) in [
        ("abc", "abc", true),
        ("abc", "abc/d/e", true),
        ("abc", "x/abc", false),
        ("*", "a/b", true),
        ("*\n!a/b", "a/b", false),
        ("*\n!a/b", "a/c", true),
        ("*\n!a", "a/b/c", false),
        ("**", "a/b", true),
        ("a/**", "a", false),
        ("a/**", "a/b/c", true),
        ("a**", "abc", true),
        ("**foo", "a/xfoo", true),
        ("**/foo", "a/xfoo", false),
        ("**/foo", "foo", true),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b", true),
        ("a/**/b", "a/xb", false),
        ("./a//b/../c/", "a/c", true),
        ("../a", "a", false),
        ("/", "a", false),
        (".", "a", false),
        ("a/..", "a", false),
        ("[a-c]x", "bx", true),
        ("[^a-c]x", "bx", false),
        ("[^a-c]x", "dx", true),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("a+b(c).txt", "a+b(c).txt", true),
        ("  a  \r", "a", true),
        (" # b", "# b", true),
        ("#b", "#b", false),
        ("! a\na", "a", true),
        ("\u{feff}a", "a", true),
        ("ä?", "äö", true),
        ("a\nb", "a\nb", false),
        ("a?b", "a\nb", true),
    ] {
        assert_eq!(out(&read(text), path), expected, "{text:?} {path:?}");
    }
}

#[test]
fn a_rule_that_could_change_nothing_of_a_directory_says_nothing_of_what_lies_in_it() {
    // As moby's walk has it: `!a` was not asked about `a`, because nothing had taken `a` away.
    assert!(out(&read("a/c\n!a"), "a/c"));
    assert!(!out(&read("a/c\n!a/c"), "a/c"));
}

#[test]
fn names_that_are_no_text_are_matched_byte_by_byte() {
    let ignore = Ignore::read(b"a??b").unwrap();
    assert!(ignore.leaves_out(b"a\xff\xfeb", &Above::default()).0);
    assert!(!ignore.leaves_out(b"a\xffb", &Above::default()).0);
}

#[test]
fn lines_that_are_no_patterns_are_named_by_their_number() {
    for bad in ["!", "!  ", "[", "[a", "[]a]", "[b-a]", "a\\", "[-a]", "[a-]"] {
        let error = Ignore::read(format!("fine\n\n{bad}").as_bytes()).unwrap_err();
        assert_eq!(error.number, 3, "{bad}");
        assert!(error.to_string().contains("line 3 of .dockerignore"));
    }
}

#[test]
fn a_directory_is_walked_where_something_in_it_may_come_back() {
    for (text, directory, expected) in [
        ("*", "a", false),
        ("*\n!a/b/c", "a", true),
        ("*\n!a/b/c", "a/b", true),
        ("*\n!a/b/c", "a/c", false),
        ("*\n!**/x.go", "a/b/c", true),
        ("*\n!a/*/c", "a/z", true),
        ("*\n!a/*/c", "b", false),
        ("*\n!ab", "a", false),
    ] {
        assert_eq!(read(text).may_bring_back(directory.as_bytes()), expected, "{text:?} {directory}");
    }
}

#[test]
fn no_pattern_takes_long() {
    // A matcher that tries every way would not come back from this one.
    let pattern = "**/*a".repeat(200);
    assert!(!out(&read(&pattern), &"a/".repeat(400)[..799].replace('a', "b")));
}

/// The same rules as a regular expression, as moby writes them: another way to the same answer.
fn expression(pattern: &str) -> Regex {
    let (mut text, mut chars, mut first) = (String::from("(?s)^"), pattern.chars().peekable(), true);
    let plain = !pattern.get(2..).unwrap_or_default().contains(['*', '?']);
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                let slash = chars.next_if_eq(&'/').is_some();
                let end = chars.peek().is_none();
                text.push_str(if end || (first && !slash && plain) { ".*" } else { "(.*/)?" });
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            c => text.push_str(&regex::escape(&c.to_string())),
        }
        first = false;
    }
    Regex::new(&(text + "$")).unwrap()
}

proptest! {
    #[test]
    fn patterns_match_as_the_expressions_do_that_moby_makes_of_them(
        parts in prop::collection::vec("[ab*?.]{1,4}|\\*\\*", 1..5),
        path in prop::collection::vec("[ab.]{1,3}", 1..5),
    ) {
        let pattern = parts.join("/");
        let path = path.join("/");
        prop_assume!(!parts.iter().any(|part| part == "." || part == ".."));
        let rules = read(&pattern);
        // Asked without what lies above it, a rule is about this path alone.
        let (found, _) = rules.leaves_out(path.as_bytes(), &Above::default());
        prop_assert_eq!(found, expression(&pattern).is_match(&path), "{} {}", pattern, path);
    }

    #[test]
    fn what_comes_back_is_never_behind_a_door_that_stays_shut(
        pattern in prop::collection::vec("[ab*?]{1,3}|\\*\\*", 1..4),
        path in prop::collection::vec("[ab]{1,2}", 2..5),
    ) {
        let rules = read(&format!("**\n!{}", pattern.join("/")));
        let (directory, whole) = (path[..path.len() - 1].join("/"), path.join("/"));
        if !out(&rules, &whole) && out(&rules, &directory) {
            prop_assert!(rules.may_bring_back(directory.as_bytes()), "{:?} {}", pattern, whole);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), name in prop::collection::vec(any::<u8>(), 0..20)) {
        if let Ok(rules) = Ignore::read(&bytes) {
            rules.leaves_out(&name, &Above::default());
            rules.may_bring_back(&name);
        }
    }
}
