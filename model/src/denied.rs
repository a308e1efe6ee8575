//! What was not allowed, read off the words in which AWS says so.
//!
//! Every service says it alike: `User: WHO is not authorized to perform: ACTION on resource: WHAT because …`. Some leave
//! out the resource, some put a stop after it.

/// An action that was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied<'a> {
    /// The action, as a policy names it: `s3:GetObject`.
    pub action: &'a str,
    /// ARN of what it was to be done to, where it is named.
    pub resource: Option<&'a str>,
    /// ARN of who was to do it, where it is named.
    pub who: Option<&'a str>,
}

/// What was denied, if the words say so.
pub fn denied(words: &str) -> Option<Denied<'_>> {
    let (before, after) = words.split_once("not authorized to perform: ")?;
    let action = word(after)?;
    // Not what is said of something else further on.
    let resource = after[action.len()..].split_once("on resource: ").and_then(|(_, rest)| word(rest));
    let who = before.rsplit_once("User: ").and_then(|(_, rest)| word(rest));
    action.contains(':').then_some(Denied { action, resource, who })
}

/// The word that a text begins with, without the stop of a sentence.
fn word(text: &str) -> Option<&str> {
    let word = text.split_whitespace().next()?.trim_end_matches(['.', ',', ';', ')']).trim_matches('"');
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_own_words_are_understood() {
        let who = "arn:aws:sts::123456789012:assumed-role/dev/me";
        let cases = [
            (
                format!(
                    "cannot list inputs/: AccessDenied: User: {who} is not authorized to perform: s3:ListBucket on \
                     resource: \"arn:aws:s3:::inputs\" because no identity-based policy allows the s3:ListBucket action"
                ),
                Some(("s3:ListBucket", Some("arn:aws:s3:::inputs"), Some(who))),
            ),
            (
                format!(
                    "AccessDenied: User: {who} is not authorized to perform: sts:AssumeRole on resource: \
                     arn:aws:iam::123456789012:role/r (request 1)"
                ),
                Some(("sts:AssumeRole", Some("arn:aws:iam::123456789012:role/r"), Some(who))),
            ),
            ("UnauthorizedOperation: You are not authorized to perform this operation.".to_owned(), None),
            (
                format!("User: {who} is not authorized to perform: batch:ListJobs."),
                Some(("batch:ListJobs", None, Some(who))),
            ),
            ("AccessDenied: Access Denied".to_owned(), None),
            ("not authorized to perform: ".to_owned(), None),
        ];
        for (words, wanted) in cases {
            let got = denied(&words).map(|denied| (denied.action, denied.resource, denied.who));
            assert_eq!(got, wanted, "{words}");
        }
    }
}
