//! Every widget drawn once and looked at. The pictures lie in `snapshots/`; styles that carry a meaning are asserted.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::bar::Bar;
use super::dialog::{Consent, Dialog};
use super::form::{Edit, Field, Form};
use super::table::{Align, Cell, Column, RowCells, Table};
use super::text_view::{Line, TextView};
use super::toast::Weight;
use super::{Glyphs, Look, Role, Theme, bar, dialog, hints, layout, table, text_view, toast};

/// What a terminal of that size shows.
fn drawn(width: u16, height: u16, draw: impl FnOnce(Rect, &mut Buffer)) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame.area(), frame.buffer_mut())).expect("drawn");
    terminal
}

fn ascii() -> Look {
    Look::new(Theme::default(), true)
}

const COLUMNS: [Column<'static>; 6] = [
    Column { title: "STATE", width: 11, grow: 0, align: Align::Left, priority: 0, sorted: None },
    Column { title: "INPUT", width: 16, grow: 3, align: Align::LeftKeepEnd, priority: 0, sorted: None },
    Column { title: "TAG", width: 8, grow: 1, align: Align::Left, priority: 2, sorted: None },
    Column { title: "CREATED", width: 8, grow: 0, align: Align::Right, priority: 1, sorted: Some(true) },
    Column { title: "TOOK", width: 7, grow: 0, align: Align::Right, priority: 0, sorted: None },
    Column { title: "REASON", width: 20, grow: 2, align: Align::Left, priority: 3, sorted: None },
];

fn rows(look: &Look, place: usize) -> RowCells<'static> {
    let words = ["queued", "scheduled", "running", "succeeded", "failed", "rejected", "cancelled"];
    let word = words[place % 7];
    RowCells::new(vec![
        Cell::state(look, word),
        Cell::new(format!("runs/2026-07-01/sample-漢字-{place:05}.zip")),
        Cell::of(Role::Muted, "night\u{1b}[31m run"),
        Cell::new(format!("{place}m")),
        Cell::new("3m12s"),
        Cell::of(Role::Error, if word == "failed" { "exit 137: out of memory" } else { "" }),
    ])
    .marked(place.is_multiple_of(3))
}

fn jobs(length: usize, top: usize, selected: usize, wide: Option<usize>) -> Table<'static> {
    Table {
        columns: &COLUMNS,
        length,
        top,
        selected,
        title: "jobs › night · 12 marked, 9 hidden",
        empty: "no jobs yet\npress b to batch a folder",
        wide,
        stale: false,
    }
}

#[test]
fn table_at_every_width() {
    for (width, name) in [(120, "table_120"), (80, "table_80"), (40, "table_40")] {
        let look = Look::default();
        let view = drawn(width, 9, |area, buf| {
            jobs(5000, 10, 12, None).render(&look, area, buf, |place| Some(rows(&look, place)));
        });
        insta::assert_snapshot!(name, view.backend());
    }
}

#[test]
fn table_wide_scrolls_sideways_and_ascii_is_ascii() {
    let look = ascii();
    let view = drawn(60, 6, |area, buf| {
        jobs(3, 0, 0, Some(1)).render(&look, area, buf, |place| Some(rows(&look, place)));
    });
    insta::assert_snapshot!("table_wide_ascii", view.backend());
}

#[test]
fn table_without_rows_says_what_to_do() {
    let look = Look::default();
    let view = drawn(60, 8, |area, buf| jobs(0, 0, 0, None).render(&look, area, buf, |_| None));
    insta::assert_snapshot!("table_empty", view.backend());
}

#[test]
fn a_table_asks_only_for_the_rows_it_shows() {
    let look = Look::default();
    let mut asked = Vec::new();
    drawn(80, 10, |area, buf| {
        jobs(1_000_000, 500_000, 500_003, None).render(&look, area, buf, |place| {
            asked.push(place);
            Some(rows(&look, place))
        });
    });
    assert_eq!(asked, (500_000..500_008).collect::<Vec<_>>());
}

#[test]
fn the_selected_row_is_in_its_style_from_edge_to_edge() {
    let look = Look::new(Theme::built_in("dark").expect("a theme"), false);
    let view = drawn(60, 6, |area, buf| {
        jobs(3, 0, 1, None).render(&look, area, buf, |place| {
            let mut row = rows(&look, place);
            // Of a wide letter the second column is never sent to a terminal.
            row.cells[1].text = "plain.zip".into();
            Some(row)
        });
    });
    let buffer = view.backend().buffer();
    let style = look.style(Role::Selection);
    for x in 0..60 {
        assert_eq!(Some(buffer[(x, 3)].bg), style.bg, "column {x}");
        assert_eq!(Some(buffer[(x, 3)].fg), style.fg, "column {x}: states keep their colour elsewhere");
    }
    assert_eq!(Some(buffer[(3, 4)].fg), look.style(Role::Running).fg);
}

#[test]
fn no_table_is_too_small_to_draw() {
    let look = Look::default();
    for width in 0..30 {
        for height in 0..6 {
            let area = Rect { x: 0, y: 0, width, height };
            let mut buf = Buffer::empty(area);
            for wide in [None, Some(0), Some(9)] {
                jobs(100, 3, 4, wide).render(&look, area, &mut buf, |place| Some(rows(&look, place)));
            }
            assert!(table::body_height(height, true) <= usize::from(height));
        }
    }
}

#[test]
fn text_wrapped_and_cut() {
    let look = Look::default();
    let found = vec![(12..19, Role::Match), (24..29, Role::MatchCurrent)];
    let lines = [
        Line { prefix: "12:00:01", text: "reading  sample number one of many", role: Role::Text, found },
        Line { prefix: "12:00:02", ..Line::of(Role::Error, "short") },
        Line::new("漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字"),
    ];
    for (name, view) in [
        ("text_wrapped", TextView { wrap: true, ..TextView::default() }),
        ("text_cut", TextView::default()),
        ("text_scrolled", TextView { left: 6, ..TextView::default() }),
        ("text_to_bottom", TextView { wrap: true, to_bottom: true, ..TextView::default() }),
    ] {
        let height = if view.to_bottom { 3 } else { 7 };
        let seen = drawn(30, height, |area, buf| {
            view.render(&look, &lines, area, buf);
        });
        insta::assert_snapshot!(name, seen.backend());
        if name == "text_wrapped" {
            let styled = |x: u16, y: u16| seen.backend().buffer()[(x, y)].modifier;
            assert!(
                styled(9 + 12, 0).contains(Modifier::UNDERLINED)
                    && !styled(9 + 11, 0).contains(Modifier::UNDERLINED)
            );
            assert!(styled(9 + 2, 1).contains(Modifier::UNDERLINED), "a match goes on in the next row");
            assert!(
                styled(9 + 8, 1).contains(Modifier::REVERSED)
                    && !styled(9 + 13, 1).contains(Modifier::REVERSED)
            );
        }
    }
    assert_eq!(text_view::rows(&lines[0], 30, true), 2);
}

#[test]
fn bars() {
    let look = Look::default();
    let good = Bar {
        prompt: ":",
        text: "jo",
        cursor: 2,
        error: None,
        note: "3 of 12",
        completions: &[("jobs", "the jobs of this flock"), ("journal", "what was done")],
        chosen: Some(1),
    };
    let view = drawn(60, 6, |area, buf| {
        let line = Rect { y: 5, height: 1, ..area };
        let cursor = good.render(&look, line, Rect { height: 5, ..area }, buf);
        assert_eq!(cursor.map(|at| (at.x, at.y)), Some((3, 5)));
    });
    insta::assert_snapshot!("bar_command", view.backend());
    let bad = Bar {
        prompt: "/",
        text: "tag:night stat:x",
        cursor: 16,
        error: Some(("no field stat; there are key, tag, id and others", 10)),
        note: "",
        completions: &[],
        chosen: None,
    };
    let view = drawn(60, 1, |area, buf| {
        bad.render(&look, area, Rect::ZERO, buf);
    });
    insta::assert_snapshot!("bar_error", view.backend());
    assert_eq!(view.backend().buffer()[(11, 0)].fg, look.style(Role::Error).fg.expect("a colour"));
    assert_ne!(view.backend().buffer()[(9, 0)].fg, look.style(Role::Error).fg.expect("a colour"));
}

#[test]
fn a_long_input_scrolls_with_its_cursor() {
    let look = Look::default();
    let typed = "/home/someone/漢字/data/a very long path.zip";
    for cursor in 0..=typed.chars().count() {
        drawn(12, 1, |area, buf| {
            let at = bar::input(&look, typed, cursor, None, area, buf);
            assert!(at.x < 12);
            let want = typed.chars().nth(cursor).unwrap_or(' ').to_string();
            assert_eq!(buf[(at.x, 0)].symbol(), want, "cursor {cursor}");
        });
    }
}

fn form() -> Form {
    let mut form = Form::new(vec![
        Field::text("Folder", "/data/night", "a folder, or a folder of folders"),
        Field::text("Tag", "", "any words; shown in the list"),
        Field::choice("Payload", &["command", "quick deploy"], "what runs"),
        Field::switch("Wait", false, ""),
    ]);
    form.fields[1].error = Some("the tag has a control character".into());
    form
}

#[test]
fn forms() {
    let look = Look::default();
    let mut form = form();
    let view = drawn(60, 8, |area, buf| {
        let cursor = form.render(&look, area, buf);
        assert_eq!(cursor.map(|at| (at.x, at.y)), Some((22, 0)));
    });
    insta::assert_snapshot!("form", view.backend());
    form.previous();
    assert!(form.edit(Edit::Char(' ')) && form.fields[3].is_on());
    form.previous();
    assert!(form.edit(Edit::Right));
    assert_eq!(form.fields[2].value(), "quick deploy");
    assert!(!form.edit(Edit::Char('x')), "no choice is called x");
    assert!(form.to_first_error());
    assert!(form.edit(Edit::Char('n')) && !form.edit(Edit::Left));
    assert_eq!((form.fields[1].value(), &form.fields[1].error), ("n", &None));
    let view = drawn(60, 3, |area, buf| {
        form.set_focus(3);
        form.render(&look, area, buf);
    });
    insta::assert_snapshot!("form_scrolled", view.backend());
}

#[test]
fn dialogs() {
    let look = Look::default();
    let names: Vec<String> = (0..30).map(|n| format!("runs/sample-{n}.zip")).collect();
    let targets: Vec<&str> = names.iter().map(String::as_str).collect();
    let base = Dialog {
        title: "terminate 30 jobs?",
        message: "Their payloads are stopped. What they have written is kept in the errors bucket, and each can be retried.",
        targets: &targets,
        top: 4,
        consent: Consent::Buttons { action: "Terminate", yes: false },
        danger: true,
    };
    let view = drawn(80, 16, |area, buf| {
        base.render(&look, area, buf);
    });
    insta::assert_snapshot!("dialog_targets", view.backend());
    assert!(view.backend().to_string().contains("[ Cancel ]"), "cancel is the default");
    let typed = Dialog {
        consent: Consent::Typed { name: "night", typed: "nig", cursor: 3 },
        targets: &targets[..2],
        top: 0,
        ..base
    };
    let view = drawn(80, 12, |area, buf| {
        assert!(typed.render(&look, area, buf).is_some());
    });
    insta::assert_snapshot!("dialog_typed", view.backend());
    let told = Dialog { consent: Consent::Told, targets: &[], title: "done", danger: false, ..base };
    let view = drawn(50, 9, |area, buf| {
        told.render(&ascii(), area, buf);
    });
    insta::assert_snapshot!("dialog_told_ascii", view.backend());
    for (width, height) in (0..40).flat_map(|width| (0..12).map(move |height| (width, height))) {
        let area = Rect { x: 0, y: 0, width, height };
        for dialog in [base, typed, told] {
            dialog.render(&look, area, &mut Buffer::empty(area));
            assert!(dialog::targets_shown(area, &dialog) <= usize::from(height));
        }
    }
}

#[test]
fn hints_fit_and_help_has_its_place() {
    let look = Look::default();
    let all = [("j/k", "move"), ("enter", "open"), ("b", "batch a folder"), ("x", "actions"), ("l", "logs")];
    for (width, name) in [(80, "hints_80"), (40, "hints_40")] {
        let view = drawn(width, 1, |area, buf| hints::hints(&look, &all, Some(("?", "help")), area, buf));
        insta::assert_snapshot!(name, view.backend());
    }
}

#[test]
fn messages() {
    let look = Look::default();
    let view = drawn(60, 4, |area, buf| {
        let line = |y| Rect { y, height: 1, ..area };
        toast::toast(&look, Weight::Good, "batched 12 jobs", line(0), buf);
        toast::toast(&look, Weight::Warning, "2 folders have no inputs.txt", line(1), buf);
        toast::toast(
            &look,
            Weight::Error,
            "cannot write to the outputs bucket: the disk is full, free some room",
            line(2),
            buf,
        );
        toast::banner(&look, Weight::Error, "the supervisor is not running", "s starts it", line(3), buf);
    });
    insta::assert_snapshot!("toasts", view.backend());
}

#[test]
fn what_is_too_small_says_so() {
    let area = |width, height| Rect { x: 0, y: 0, width, height };
    assert_eq!(layout::split(area(39, 24), false), None);
    assert_eq!(layout::split(area(80, 9), true), None);
    let least = layout::split(area(40, 10), true).expect("fits");
    assert_eq!((least.body.height, least.bar.map(|bar| bar.y), least.footer.y), (7, Some(8), 9));
    let view = drawn(30, 2, |area, buf| layout::too_small(&Look::default(), area, buf));
    insta::assert_snapshot!("too_small", view.backend());
    for width in 0..4 {
        let area = area(width, 1);
        layout::too_small(&Look::default(), area, &mut Buffer::empty(area));
    }
}

#[test]
fn nothing_is_drawn_outside_ascii_with_the_ascii_set() {
    let look = Look { glyphs: Glyphs::ASCII, ..Look::default() };
    let view = drawn(70, 12, |area, buf| {
        form().render(&look, area, buf);
        let dialog = Dialog {
            title: "t",
            message: "m",
            targets: &["a", "b"],
            top: 0,
            consent: Consent::Buttons { action: "Go", yes: true },
            danger: false,
        };
        dialog.render(&look, area, buf);
    });
    // TestBackend puts quotes around each line.
    assert!(view.backend().to_string().is_ascii());
}
