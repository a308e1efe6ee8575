//! Spreads the JSON of a log line over several lines. The text of every value stays as it was written: numbers keep
//! their digits, strings their escapes.

/// Columns an inner level is indented by.
const STEP: usize = 2;
/// Deeper than this is left on one line: nobody reads it, and indentation alone would fill the memory.
const DEEPEST: usize = 32;

/// The lines of a text that is, or ends in, a JSON object or array; None for any other.
pub(super) fn spread(text: &str) -> Option<Vec<String>> {
    let start = text.find(['{', '['])?;
    // Loggers write a time and a level first; a bracket in those is tried before the brace that follows it.
    let starts = [Some(start), text[start + 1..].find('{').map(|at| start + 1 + at)];
    let (before, json) =
        starts.into_iter().flatten().map(|at| text.split_at(at)).find(|(_, json)| is_json(json))?;
    let mut lines = Vec::new();
    if !before.trim().is_empty() {
        lines.push(before.trim_end().to_owned());
    }
    indent(json, &mut lines);
    (lines.len() > 1).then_some(lines)
}

fn is_json(text: &str) -> bool {
    // Nothing is built: large numbers need not fit anywhere to be shown.
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn indent(json: &str, lines: &mut Vec<String>) {
    let (mut depth, mut line) = (0_usize, String::new());
    let (mut quoted, mut escaped) = (false, false);
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if quoted {
            line.push(c);
            (quoted, escaped) = match c {
                _ if escaped => (true, false),
                '\\' => (true, true),
                '"' => (false, false),
                _ => (true, false),
            };
            continue;
        }
        match c {
            '"' => {
                quoted = true;
                line.push(c);
            }
            c if c.is_whitespace() => {}
            '{' | '[' => {
                line.push(c);
                while chars.peek().is_some_and(|c| c.is_whitespace()) {
                    chars.next();
                }
                depth += 1;
                if let Some(close @ ('}' | ']')) = chars.peek().copied() {
                    chars.next();
                    depth -= 1;
                    line.push(close);
                } else if depth <= DEEPEST {
                    fresh(lines, &mut line, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if depth < DEEPEST {
                    fresh(lines, &mut line, depth);
                }
                line.push(c);
            }
            ',' => {
                line.push(c);
                if depth <= DEEPEST {
                    fresh(lines, &mut line, depth);
                }
            }
            ':' => line.push_str(": "),
            c => line.push(c),
        }
    }
    lines.push(line);
}

fn fresh(lines: &mut Vec<String>, line: &mut String, depth: usize) {
    lines.push(std::mem::replace(line, " ".repeat(depth.min(DEEPEST) * STEP)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_the_text_they_were_written_with() {
        let lines =
            spread(r#"{"n":12345678901234567890.10, "s":"a\"{,}\u00e9","e":{},"l":[1,[ ]]}"#).expect("json");
        assert_eq!(
            lines,
            [
                "{",
                r#"  "n": 12345678901234567890.10,"#,
                r#"  "s": "a\"{,}\u00e9","#,
                r#"  "e": {},"#,
                r#"  "l": ["#,
                "    1,",
                "    []",
                "  ]",
                "}",
            ]
        );
    }

    #[test]
    fn a_prefix_stays_and_what_is_no_json_is_left_alone() {
        assert_eq!(spread(r#"[info] 12:00 {"a":1}"#).expect("json")[0], "[info] 12:00");
        for text in ["plain", "{not json}", "{}", "open {", "[1] of [2]", ""] {
            assert_eq!(spread(text), None, "{text}");
        }
    }

    #[test]
    fn depth_cannot_fill_the_memory() {
        let deep = format!("{}{}", "[1,".repeat(100), "1".to_owned() + &"]".repeat(100));
        let lines = spread(&deep).expect("json");
        assert!(lines.iter().map(String::len).sum::<usize>() < deep.len() * 2 * DEEPEST * STEP);
        let joined: String = lines.concat().split_whitespace().collect();
        assert_eq!(joined, deep);
    }
}
