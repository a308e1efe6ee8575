//! What the console does between a key and a frame, at a million jobs. `cargo bench --bench console`.
//! Figures and how to read them: docs/performance.md.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench that cannot set itself up has nothing to measure"
)]

#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Constraint;
use ratatui::widgets;
use shepard::app::filter::Filter;
use shepard::app::store::{Move, Sort, SortKey, Store, View, ViewJob};
use shepard::ui::table::{Align, Cell, Column, RowCells, Table};
use shepard::ui::{Look, Role, time};
use support::{NOW, changes, filled};

const ROWS: u32 = 1_000_000;
const THREADS: u32 = 2;

/// A view of everything, in that order.
fn view(store: &Store, sort: Sort, filter: &str) -> View {
    let mut view = View::new(sort);
    let filter = Filter::parse(filter).unwrap();
    if let Some(job) = view.set_filter(filter, store, NOW) {
        view.accept(job.run(THREADS), store, NOW);
    }
    view.resize(46);
    view
}

fn job(store: &Store, sort: Sort, filter: &str) -> ViewJob {
    ViewJob {
        snapshot: store.snapshot(),
        sort,
        filter: Filter::parse(filter).unwrap(),
        generation: 0,
        now_ms: NOW,
    }
}

fn draw(store: &Store, view: &View, look: &Look, terminal: &mut Terminal<TestBackend>) {
    let sort = view.sort();
    let arrow = |key: SortKey| (sort.key == key).then_some(sort.descending);
    let columns = [
        Column::new("STATE", 11).sorted(arrow(SortKey::State)),
        Column::new("INPUT", 28).grow(3).align(Align::LeftKeepEnd).sorted(arrow(SortKey::Input)),
        Column::new("TAG", 12).grow(1).priority(2).sorted(arrow(SortKey::Tag)),
        Column::new("CREATED", 8).align(Align::Right).sorted(arrow(SortKey::Created)),
        Column::new("TOOK", 7).align(Align::Right).sorted(arrow(SortKey::Duration)),
        Column::new("REASON", 20).grow(2).priority(3).sorted(arrow(SortKey::Reason)),
    ];
    let window = view.window();
    terminal
        .draw(|frame| {
            let table = Table {
                columns: &columns,
                length: view.len(),
                top: window.top,
                selected: window.selected,
                title: "jobs",
                empty: "no jobs",
                wide: None,
                stale: false,
            };
            table.render(look, frame.area(), frame.buffer_mut(), |place| {
                let index = view.index_at(place)?;
                let row = store.row(index)?;
                let cells = vec![
                    Cell::state(look, row.state().word()),
                    Cell::new(row.input()),
                    Cell::of(Role::Muted, row.tag().unwrap_or_default()),
                    Cell::new(time::age(NOW - row.created_ms())),
                    Cell::new(row.took_ms(NOW).map(time::duration).unwrap_or_default()),
                    Cell::new(row.reason().unwrap_or_default()),
                ];
                Some(RowCells::new(cells).marked(view.is_marked(index)))
            });
        })
        .unwrap();
}

fn drawing(c: &mut Criterion, store: &Store) {
    let mut view = view(store, Sort::default(), "");
    let look = Look::default();
    for (width, height) in [(80, 24), (160, 50)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        view.resize(usize::from(height) - 2);
        view.go(Move::To(500_000), store);
        c.bench_function(&format!("draw/1M rows {width}x{height}"), |b| {
            b.iter(|| {
                view.go(Move::PageDown, store);
                draw(store, &view, &look, &mut terminal);
            });
        });
    }
}

/// What a table costs that is handed every row and picks out those on the screen itself, as the usual table widget
/// is: a tenth of the rows, so that it fits into memory.
fn drawing_every_row(c: &mut Criterion) {
    let store = filled(ROWS / 10);
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let mut group = c.benchmark_group("draw every row");
    group.sample_size(10);
    group.bench_function("100k rows 80x24", |b| {
        b.iter(|| {
            let rows = store.iter().map(|(_, row)| {
                widgets::Row::new([
                    row.state().word().to_owned(),
                    row.input().to_owned(),
                    row.tag().unwrap_or_default().to_owned(),
                    time::age(NOW - row.created_ms()),
                    row.took_ms(NOW).map(time::duration).unwrap_or_default(),
                    row.reason().unwrap_or_default().to_owned(),
                ])
            });
            let table = widgets::Table::new(rows, [Constraint::Fill(1); 6]);
            terminal.draw(|frame| frame.render_widget(table, frame.area())).unwrap();
        });
    });
}

fn filtering(c: &mut Criterion, store: &Store) {
    for (name, line) in [
        ("substring", "sample-4711"),
        ("substring, not found", "no such thing"),
        ("substring, found in all", "runs"),
        ("exact case", "Sample"),
        ("field", "state:failed exit:>1"),
        ("field, text", "tag:night"),
        ("time", "took:>30s"),
        ("fuzzy", "~smpl4711"),
        ("fuzzy, found in all", "~rnzip"),
        ("regex", "/sample-47[0-9]+1/"),
        ("inverse", "!state:succeeded !sample-4"),
    ] {
        let job = job(store, Sort::default(), line);
        c.bench_function(&format!("filter/1M {name}"), |b| b.iter(|| black_box(job.filtered(THREADS))));
    }
    let one = job(store, Sort::default(), "sample-4711");
    c.bench_function("filter/1M substring, one thread", |b| b.iter(|| black_box(one.filtered(1))));
    c.bench_function("filter/1M snapshot", |b| b.iter(|| black_box(store.snapshot())));
}

fn sorting(c: &mut Criterion, store: &Store) {
    let mut group = c.benchmark_group("sort/1M");
    group.sample_size(10);
    for key in SortKey::ALL {
        let job = job(store, Sort { key, descending: false }, "");
        group.bench_function(key.word(), |b| b.iter(|| black_box(job.run(THREADS))));
    }
}

/// One batch of changes: into the store, and into a view's order.
fn merging(c: &mut Criterion, store: &mut Store) {
    let mut group = c.benchmark_group("merge into 1M");
    group.sample_size(30);
    let by_state = Sort { key: SortKey::State, descending: false };
    let by_key = Sort { key: SortKey::Input, descending: false };
    for (name, count, sort, filter, snapshots) in [
        ("1000 changes, by created", 1_000, Sort::default(), "", false),
        ("1000 changes, by state", 1_000, by_state, "", false),
        ("1000 changes, by input, of one state", 1_000, by_key, "state:running", false),
        ("1000 changes, by state, under a snapshot", 1_000, by_state, "", true),
        // 10,000 changes a second arrive as 160 a frame.
        ("160 changes (a frame of 10000/s), by state", 160, by_state, "", false),
        ("160 changes (a frame of 10000/s), by created", 160, Sort::default(), "", false),
    ] {
        let mut view = view(store, sort, filter);
        let mut round = 0;
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..times {
                    round += 1;
                    let changes = changes(store, count, round);
                    let kept = snapshots.then(|| store.snapshot());
                    #[expect(clippy::disallowed_methods, reason = "a bench measures")]
                    let start = std::time::Instant::now();
                    let merged = store.merge(&changes, &[]);
                    view.merge(store, &merged, NOW);
                    spent += start.elapsed();
                    drop(kept);
                }
                spent
            });
        });
    }
}

fn all(c: &mut Criterion) {
    let mut store = filled(ROWS);
    drawing(c, &store);
    drawing_every_row(c);
    filtering(c, &store);
    sorting(c, &store);
    merging(c, &mut store);
}

criterion_group!(benches, all);
criterion_main!(benches);
