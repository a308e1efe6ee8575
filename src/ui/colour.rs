//! Colours: reading one, and the nearest that a terminal can show.

use ratatui::style::Color;

/// How many colours a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColorDepth {
    /// None at all, or none are wanted.
    None,
    /// The sixteen of the terminal's own palette.
    Ansi16,
    /// Those and the fixed cube.
    Ansi256,
    /// All.
    TrueColor,
}

impl ColorDepth {
    /// Judges by the environment alone: a terminal that is asked may take half a minute to answer under tmux.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| env(name).filter(|value| !value.is_empty());
        let term = get("TERM").unwrap_or_default();
        if get("NO_COLOR").is_some() || term == "dumb" {
            return Self::None;
        }
        match get("COLORTERM").as_deref() {
            Some("truecolor" | "24bit") => Self::TrueColor,
            _ if term.contains("direct") => Self::TrueColor,
            _ if term.contains("256") => Self::Ansi256,
            _ => Self::Ansi16,
        }
    }
}

/// The colour of a word in a theme file.
pub(super) fn base_colour(word: &str) -> Option<Color> {
    const NAMES: [&str; 16] = [
        "black",
        "red",
        "green",
        "yellow",
        "blue",
        "magenta",
        "cyan",
        "white",
        "bright-black",
        "bright-red",
        "bright-green",
        "bright-yellow",
        "bright-blue",
        "bright-magenta",
        "bright-cyan",
        "bright-white",
    ];
    if word == "default" {
        return Some(Color::Reset);
    }
    if let Some(index) = NAMES.iter().position(|name| *name == word) {
        return u8::try_from(index).ok().map(ansi);
    }
    if let Some(hex) = word.strip_prefix('#') {
        let value = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 6)?;
        let [_, r, g, b] = value.to_be_bytes();
        return Some(Color::Rgb(r, g, b));
    }
    word.parse::<u8>().ok().map(ansi)
}

/// The terminal's own sixteen by the sequences that every terminal knows, the rest by index.
fn ansi(index: u8) -> Color {
    const SIXTEEN: [Color; 16] = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    SIXTEEN.get(usize::from(index)).copied().unwrap_or(Color::Indexed(index))
}

/// The levels of the colour cube.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest colour that a terminal of that depth has.
pub(super) fn lowered(colour: Color, depth: ColorDepth) -> Color {
    match (colour, depth) {
        (Color::Rgb(r, g, b), ColorDepth::Ansi256) => Color::Indexed(nearest_256([r, g, b])),
        (Color::Rgb(r, g, b), ColorDepth::Ansi16) => ansi(nearest_16([r, g, b])),
        (Color::Indexed(index), ColorDepth::Ansi16) => ansi(nearest_16(rgb_of(index))),
        (colour, _) => colour,
    }
}

fn rgb_of(index: u8) -> [u8; 3] {
    match index {
        0..=15 => SIXTEEN_RGB[usize::from(index)],
        16..=231 => {
            let index = usize::from(index - 16);
            [LEVELS[index / 36], LEVELS[index / 6 % 6], LEVELS[index % 6]]
        }
        232.. => [8 + 10 * (index - 232); 3],
    }
}

/// What the sixteen usually look like; only to find the nearest.
const SIXTEEN_RGB: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

fn nearest_256(wanted: [u8; 3]) -> u8 {
    (16..=255).min_by_key(|&index| distance(rgb_of(index), wanted)).unwrap_or(16)
}

fn nearest_16(wanted: [u8; 3]) -> u8 {
    (0..16).min_by_key(|&index| distance(rgb_of(index), wanted)).unwrap_or(7)
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.into_iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_the_depth() {
        let depth = |vars: &[(&str, &str)]| {
            ColorDepth::detect(|name| {
                vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(depth(&[("TERM", "xterm")]), ColorDepth::Ansi16);
        assert_eq!(depth(&[("TERM", "tmux-256color")]), ColorDepth::Ansi256);
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), ColorDepth::TrueColor);
        assert_eq!(depth(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), ColorDepth::None);
        assert_eq!(depth(&[("TERM", "xterm"), ("NO_COLOR", "")]), ColorDepth::Ansi16);
        assert_eq!(depth(&[("TERM", "dumb")]), ColorDepth::None);
    }
}
