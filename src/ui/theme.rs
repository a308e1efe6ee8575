//! Themes: a style for each role, read from TOML.
//!
//! ```toml
//! description = "for a dark terminal"
//! [palette]                      # names of one's own
//! leaf = "#98c379"
//! [roles]                        # every role that is left out takes the default theme's
//! text = "#d0d0d0 on #101010"    # its background is the screen's
//! succeeded = "leaf bold"
//! selection = "reverse"
//! ```
//!
//! A style is words: a colour, `on` another, and modifiers (`bold dim italic underline reverse`). Colours are the
//! sixteen names, an index `0`–`255`, `#rrggbb`, or `default`, the terminal's own.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use super::colour::{ColorDepth, base_colour, lowered};

/// Declares the roles once: variant, name in a theme file, what it is for.
macro_rules! roles {
    ($($variant:ident = $name:literal, $doc:literal;)*) => {
        /// What something on the screen is. A theme gives each a style; code names roles, never colours.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Role {
            $(#[doc = $doc] $variant,)*
        }

        impl Role {
            /// Every role.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in a theme file.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it is for, as the documentation says it.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

roles! {
    Text = "text", "Everything that is nothing else; its background is the screen's.";
    Muted = "muted", "What matters less: units, hints, times.";
    Accent = "accent", "Names of places, the active choice.";
    Title = "title", "Titles of screens and boxes.";
    Header = "header", "Heads of columns.";
    Border = "border", "Frames and rules.";
    Selection = "selection", "The selected row.";
    Mark = "mark", "Marked rows.";
    Match = "match", "What a search found.";
    MatchCurrent = "match_current", "The match the search stands on.";
    Key = "key", "Keys in hints and help.";
    Hint = "hint", "What a key does.";
    Input = "input", "Text being typed.";
    Ok = "ok", "Good news.";
    Info = "info", "News.";
    Warn = "warn", "Look at this.";
    Error = "error", "Something is wrong.";
    Danger = "danger", "A destructive choice, and the name of a profile that has to stand out.";
    Stale = "stale", "Data that may be out of date.";
    Queued = "queued", "State.";
    Scheduled = "scheduled", "State.";
    Running = "running", "State.";
    Succeeded = "succeeded", "State.";
    Failed = "failed", "State.";
    Rejected = "rejected", "State.";
    Cancelled = "cancelled", "State.";
}

impl Role {
    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.name() == name)
    }

    /// The role of a state, by its word; plain text for a word that is none.
    pub fn of_state(word: &str) -> Self {
        match word {
            "queued" => Self::Queued,
            "scheduled" => Self::Scheduled,
            "running" => Self::Running,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "rejected" => Self::Rejected,
            "cancelled" => Self::Cancelled,
            _ => Self::Text,
        }
    }
}

/// A style for each role.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    name: String,
    styles: Vec<Style>,
}

/// The themes that come with the program: name and source.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("default", include_str!("../../themes/default.toml")),
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("no-colour", include_str!("../../themes/no-colour.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// For people who read the file.
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default)]
    palette: BTreeMap<String, String>,
    #[serde(default)]
    roles: BTreeMap<String, String>,
}

/// Why a theme could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThemeError {
    /// The file is not TOML, or has other tables than these.
    #[error("theme {name} cannot be read: {why}")]
    Toml {
        /// Of the theme.
        name: String,
        /// As the reader of TOML says it.
        why: String,
    },
    /// A key under `[roles]` that is none.
    #[error("theme {name} has a role {role}, which does not exist; see the documentation for those that do")]
    Role {
        /// Of the theme.
        name: String,
        /// As written.
        role: String,
    },
    /// A word of a style that is neither colour nor modifier.
    #[error("theme {name}, {role}: {word} is neither a colour nor a modifier")]
    Word {
        /// Of the theme.
        name: String,
        /// The role or the name in the palette.
        role: String,
        /// As written.
        word: String,
    },
    /// No theme of that name.
    #[error(
        "there is no theme {name}; there are default, dark, light, high-contrast, no-colour and your own files"
    )]
    Unknown {
        /// As asked for.
        name: String,
    },
}

impl Default for Theme {
    fn default() -> Self {
        // The embedded file is tested; were it broken, plain text is still readable.
        Self::built_in("default").unwrap_or_else(|_| Self::plain("default"))
    }
}

impl Theme {
    fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), styles: vec![Style::new(); Role::ALL.len()] }
    }

    /// One of [`BUILT_IN`].
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn built_in(name: &str) -> Result<Self, ThemeError> {
        // The British and the American spelling are one theme.
        let wanted = if name == "no-color" { "no-colour" } else { name };
        let found = BUILT_IN.into_iter().find(|(known, _)| *known == wanted);
        let (name, source) = found.ok_or_else(|| ThemeError::Unknown { name: name.to_owned() })?;
        Self::parse(name, source)
    }

    /// Reads a theme file. Roles it leaves out are those of the default theme.
    ///
    /// # Errors
    /// The first thing in it that cannot be understood. The file is then of no use as a whole; keep the theme before.
    pub fn parse(name: &str, source: &str) -> Result<Self, ThemeError> {
        let toml = |why: toml::de::Error| ThemeError::Toml {
            name: name.to_owned(),
            why: why.to_string().lines().collect::<Vec<_>>().join(" "),
        };
        let file: File = toml::from_str(source).map_err(toml)?;
        let mut palette = BTreeMap::new();
        for (colour, value) in &file.palette {
            let found = base_colour(value).ok_or_else(|| ThemeError::Word {
                name: name.to_owned(),
                role: colour.clone(),
                word: value.clone(),
            })?;
            palette.insert(colour.as_str(), found);
        }
        let mut theme = if name == "default" { Self::plain(name) } else { Self::default() };
        name.clone_into(&mut theme.name);
        for (role, words) in &file.roles {
            let found = Role::named(role)
                .ok_or_else(|| ThemeError::Role { name: name.to_owned(), role: role.clone() })?;
            theme.styles[found as usize] = style(words, &palette).map_err(|word| ThemeError::Word {
                name: name.to_owned(),
                role: role.clone(),
                word,
            })?;
        }
        Ok(theme)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// The same theme with the colours a terminal can show. Without any, it is `no-colour`.
    #[must_use]
    pub fn at(self, depth: ColorDepth) -> Self {
        if depth == ColorDepth::None {
            let none = Self::built_in("no-colour").unwrap_or_else(|_| Self::plain("no-colour"));
            return Self { name: self.name, styles: none.styles };
        }
        let lower = |colour: Color| lowered(colour, depth);
        let styles = self.styles.into_iter().map(|style| Style {
            fg: style.fg.map(lower),
            bg: style.bg.map(lower),
            ..style
        });
        Self { name: self.name, styles: styles.collect() }
    }
}

/// Reads a style; the word that cannot be understood is the error.
fn style(words: &str, palette: &BTreeMap<&str, Color>) -> Result<Style, String> {
    let mut style = Style::new();
    let mut background = false;
    for word in words.split_whitespace() {
        let modifier = match word {
            "on" => {
                background = true;
                continue;
            }
            "bold" => Some(Modifier::BOLD),
            "dim" => Some(Modifier::DIM),
            "italic" => Some(Modifier::ITALIC),
            "underline" => Some(Modifier::UNDERLINED),
            "reverse" => Some(Modifier::REVERSED),
            _ => None,
        };
        if let Some(modifier) = modifier {
            style = style.add_modifier(modifier);
            continue;
        }
        let colour = palette.get(word).copied().or_else(|| base_colour(word)).ok_or(word)?;
        style = if std::mem::take(&mut background) { style.bg(colour) } else { style.fg(colour) };
    }
    if background { Err("on".to_owned()) } else { Ok(style) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance([r, g, b]: [u8; 3]) -> f64 {
        let linear = |channel: u8| {
            let c = f64::from(channel) / 255.0;
            if c <= 0.039_28 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn rgb(colour: Option<Color>) -> Option<[u8; 3]> {
        match colour {
            Some(Color::Rgb(r, g, b)) => Some([r, g, b]),
            _ => None,
        }
    }

    fn all() -> impl Iterator<Item = Theme> {
        BUILT_IN.into_iter().map(|(name, _)| Theme::built_in(name).unwrap_or_else(|error| panic!("{error}")))
    }

    #[test]
    fn every_role_of_every_theme_can_be_read_on_its_background() {
        let mut checked = 0;
        for theme in all() {
            let screen = theme.style(Role::Text);
            for &role in Role::ALL {
                let mut style = screen.patch(theme.style(role));
                if style.add_modifier.contains(Modifier::REVERSED) {
                    std::mem::swap(&mut style.fg, &mut style.bg);
                }
                if let (Some(front), Some(back)) = (rgb(style.fg), rgb(style.bg)) {
                    let ratio = contrast(front, back);
                    let least = if theme.name() == "high-contrast" { 7.0 } else { 4.5 };
                    assert!(ratio >= least, "{} {}: {ratio:.2}", theme.name(), role.name());
                    checked += 1;
                }
            }
        }
        assert!(checked >= 2 * Role::ALL.len(), "dark and light are made of colours that can be checked");
    }

    #[test]
    fn the_default_theme_leaves_the_background_alone_and_suits_dark_and_light() {
        let theme = Theme::default();
        for &role in Role::ALL {
            let style = theme.style(role);
            let unfit =
                [Color::Black, Color::White, Color::Gray, Color::DarkGray, Color::Yellow, Color::LightYellow];
            assert!(
                style.fg.is_none_or(|fg| !unfit.contains(&fg)),
                "{}: vanishes on one of the two",
                role.name()
            );
            assert!(matches!(style.bg, None | Some(Color::Reset)), "{}", role.name());
            for colour in [style.fg, style.bg].into_iter().flatten() {
                assert!(!matches!(colour, Color::Rgb(..) | Color::Indexed(_)), "{}", role.name());
            }
        }
    }

    #[test]
    fn no_theme_dims_dark_grey_and_no_colour_has_none() {
        for theme in all() {
            for &role in Role::ALL {
                let style = theme.style(role);
                let dim = style.add_modifier.contains(Modifier::DIM);
                assert!(!(dim && style.fg == Some(Color::DarkGray)), "{} {}", theme.name(), role.name());
                if theme.name() == "no-colour" {
                    assert_eq!((style.fg, style.bg), (None, None), "{}", role.name());
                }
            }
            let distinct = |role: Role| theme.style(role) != theme.style(Role::Text);
            assert!(distinct(Role::Selection) && distinct(Role::Match) && distinct(Role::Danger));
        }
    }

    #[test]
    fn colours_fall_back_to_what_the_terminal_has() {
        let theme = Theme::parse("mine", "[roles]\nok = '#00ff00 on 196'\ntext = 'default'").expect("reads");
        let at = |depth| theme.clone().at(depth).style(Role::Ok);
        assert_eq!(at(ColorDepth::TrueColor).fg, Some(Color::Rgb(0, 255, 0)));
        assert_eq!(at(ColorDepth::Ansi256).fg, Some(Color::Indexed(46)));
        assert_eq!(at(ColorDepth::Ansi16).fg, Some(Color::LightGreen));
        assert_eq!(at(ColorDepth::Ansi16).bg, Some(Color::LightRed));
        assert_eq!((at(ColorDepth::None).fg, at(ColorDepth::None).bg), (None, None));
    }

    #[test]
    fn what_is_wrong_in_a_theme_is_named() {
        for (source, part) in [
            ("[roles]\ntext = 'pink'", "pink is neither"),
            ("[roles]\ntext = 'red on'", "on is neither"),
            ("[roles]\ntexts = 'red'", "role texts"),
            ("[palette]\na = '#12'", "#12 is neither"),
            ("[role]\n", "cannot be read"),
            ("[roles", "cannot be read"),
        ] {
            let error = Theme::parse("mine", source).expect_err(source).to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(Theme::built_in("nope").is_err());
    }
}
