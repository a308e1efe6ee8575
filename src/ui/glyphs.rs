//! The signs drawn beside words, in Unicode and in ASCII. A sign never stands alone for a meaning: its word is beside it.

/// One set of signs. Each is one column wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say what each sign stands for")]
pub struct Glyphs {
    pub queued: &'static str,
    pub scheduled: &'static str,
    pub running: &'static str,
    pub succeeded: &'static str,
    pub failed: &'static str,
    pub rejected: &'static str,
    pub cancelled: &'static str,
    pub pointer: &'static str,
    pub mark: &'static str,
    pub ascending: &'static str,
    pub descending: &'static str,
    pub ellipsis: &'static str,
    pub crumb: &'static str,
    pub more_below: &'static str,
    pub more_above: &'static str,
    pub more_left: &'static str,
    pub more_right: &'static str,
    pub wrapped: &'static str,
    pub follow: &'static str,
    pub pause: &'static str,
    pub bullet: &'static str,
    pub warning: &'static str,
    pub on: &'static str,
    pub off: &'static str,
    pub separator: &'static str,
    /// Nothing is known, which is not none.
    pub unknown: &'static str,
    pub thumb: &'static str,
    pub track: &'static str,
    pub bar_full: &'static str,
    pub bar_empty: &'static str,
    /// Bars of a sparkline, from nothing to full.
    pub bars: [&'static str; 9],
    /// Corners from the top left clockwise, then horizontal and vertical.
    pub frame: [&'static str; 6],
}

impl Glyphs {
    /// For terminals that show Unicode; only characters of fonts that every system has.
    pub const UNICODE: Self = Self {
        queued: "○",
        scheduled: "◔",
        running: "▶",
        succeeded: "✓",
        failed: "✗",
        rejected: "⊘",
        cancelled: "■",
        pointer: "▌",
        mark: "●",
        ascending: "▲",
        descending: "▼",
        ellipsis: "…",
        crumb: "›",
        more_below: "▼",
        more_above: "▲",
        more_left: "‹",
        more_right: "›",
        wrapped: "↪",
        follow: "▼",
        pause: "‖",
        bullet: "•",
        warning: "!",
        on: "●",
        off: "○",
        separator: "·",
        unknown: "—",
        thumb: "█",
        track: "│",
        bar_full: "█",
        bar_empty: "░",
        bars: [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
        frame: ["┌", "┐", "┘", "└", "─", "│"],
    };

    /// For terminals that do not, and for serial lines.
    pub const ASCII: Self = Self {
        queued: "o",
        scheduled: "-",
        running: ">",
        succeeded: "+",
        failed: "x",
        rejected: "%",
        cancelled: "#",
        pointer: ">",
        mark: "*",
        ascending: "^",
        descending: "v",
        ellipsis: "~",
        crumb: ">",
        more_below: "v",
        more_above: "^",
        more_left: "<",
        more_right: ">",
        wrapped: "\\",
        follow: "v",
        pause: "=",
        bullet: "*",
        warning: "!",
        on: "+",
        off: ".",
        separator: "|",
        unknown: "-",
        thumb: "#",
        track: "|",
        bar_full: "#",
        bar_empty: ".",
        bars: [" ", ".", ".", ":", ":", "|", "|", "#", "#"],
        frame: ["+", "+", "+", "+", "-", "|"],
    };

    /// The sign of a state, by its word; a space for a word that is none.
    pub fn state(&self, word: &str) -> &'static str {
        match word {
            "queued" => self.queued,
            "scheduled" => self.scheduled,
            "running" => self.running,
            "succeeded" => self.succeeded,
            "failed" => self.failed,
            "rejected" => self.rejected,
            "cancelled" => self.cancelled,
            _ => " ",
        }
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn every_sign_is_one_column_and_the_ascii_ones_are_ascii() {
        for (set, ascii) in [(Glyphs::UNICODE, false), (Glyphs::ASCII, true)] {
            // The derived form lists every field, so a new sign is checked without being named here.
            let listed = format!("{set:?}");
            for sign in listed.split('"').skip(1).step_by(2) {
                let sign = sign.replace("\\\\", "\\");
                assert_eq!(sign.width(), 1, "{sign}");
                assert!(!ascii || sign.is_ascii(), "{sign}");
            }
        }
    }

    #[test]
    fn states_differ_by_their_sign_alone() {
        for set in [Glyphs::UNICODE, Glyphs::ASCII] {
            let words = ["queued", "scheduled", "running", "succeeded", "failed", "rejected", "cancelled"];
            let signs: std::collections::BTreeSet<_> = words.iter().map(|word| set.state(word)).collect();
            assert_eq!(signs.len(), words.len());
        }
    }
}
