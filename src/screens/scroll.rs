//! What the screens that scroll through lines share: where the end is, and that there is more.

use crate::ui::Look;

/// The line to begin with so that the last one ends at the bottom of `room` rows. `rows` are the rows that the lines
/// take, the last line first; no more of them are asked for than there is room for.
pub(super) fn last_top(length: usize, room: usize, rows: impl Iterator<Item = usize>) -> usize {
    let (mut left, mut top) = (room, length);
    for rows in rows {
        if rows > left {
            break;
        }
        left -= rows;
        top -= 1;
    }
    top.min(length.saturating_sub(1))
}

/// How many lines are out of sight above and below; empty if none are. `keys` are those that bring them.
pub(super) fn out_of_sight(look: &Look, above: usize, below: usize, keys: [&str; 2]) -> String {
    let said = |sign: &str, lines: usize, side: &str, key: &str| match (lines, key) {
        (0, _) => None,
        (_, "") => Some(format!("{sign} {lines} {side}")),
        (_, _) => Some(format!("{sign} {lines} {side} ({key})")),
    };
    let parts = [
        said(look.glyphs.more_above, above, "above", keys[0]),
        said(look.glyphs.more_below, below, "below", keys[1]),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_where_the_last_line_is_at_the_bottom() {
        let top = |room: usize, rows: &[usize]| last_top(rows.len(), room, rows.iter().rev().copied());
        assert_eq!(top(3, &[1, 1, 1, 1, 1]), 2);
        assert_eq!(top(3, &[1, 1, 2, 1]), 2);
        assert_eq!(top(9, &[1, 1]), 0);
        assert_eq!(top(2, &[1, 5]), 1, "a line that never fits is still shown");
        assert_eq!(top(2, &[]), 0);
    }
}
