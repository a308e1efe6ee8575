//! Which images a Dockerfile begins from.

/// The images after `FROM`, as they are written. One that an argument names is not among them: its name is not known
/// before the build.
pub(super) fn bases(dockerfile: &str) -> Vec<&str> {
    let mut stages = Vec::new();
    let mut bases = Vec::new();
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("from")) {
            continue;
        }
        let mut words = words.skip_while(|word| word.starts_with("--"));
        let Some(image) = words.next() else { continue };
        if !image.contains('$') && !stages.contains(&image) && image != "scratch" {
            bases.push(image);
        }
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("as")) {
            stages.extend(words.next());
        }
    }
    bases
}

/// The host of the registry that an image is in; None for Docker's own.
pub(super) fn host(image: &str) -> Option<&str> {
    let (host, _) = image.split_once('/')?;
    (host.contains(['.', ':']) || host == "localhost").then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dockerfile_begins_from() {
        let text = "# FROM no\nARG V=1\nfrom --platform=linux/arm64 r.test:5000/a:1 AS build\nRUN x\nFROM build\n\
                    FROM base:$V\nFROM scratch\n  FROM debian\nFROM";
        assert_eq!(bases(text), ["r.test:5000/a:1", "debian"]);
        for (image, expected) in [
            ("r.test:5000/a:1", Some("r.test:5000")),
            ("localhost/a", Some("localhost")),
            ("team/a", None),
            ("a", None),
        ] {
            assert_eq!(host(image), expected);
        }
    }
}
