use proptest::prelude::*;

use super::*;
use crate::app::filter::Filter;

const NOW: i64 = 1_800_000_000_000;

fn id(number: u32) -> JobId {
    // Every third id is one of the original's, which are not hex.
    match number % 3 {
        0 => JobId::parse(&format!("old-{number}")).expect("an id"),
        _ => JobId::of_request(&number.to_string()),
    }
}

fn job(number: u32) -> JobSummary {
    JobSummary {
        id: id(number),
        input: match number % 11 {
            0 => format!("runs/sample-{}\0", "x".repeat(number as usize % 40)),
            1 => format!("runs/sample-{}", "x".repeat(number as usize % 40)),
            2 => String::new(),
            _ => format!("runs/sample-{:03}.zip", number * 7 % 100),
        },
        tag: (!number.is_multiple_of(4)).then(|| format!("tag {}", number % 5)),
        state: State::ALL[number as usize % 7],
        created_ms: NOW + i64::from(number % 10) * 1000,
        started_ms: (!number.is_multiple_of(3)).then_some(NOW + i64::from(number)),
        ended_ms: (number % 6 == 1).then_some(NOW + 5_000),
        attempts: number % 4,
        exit_code: None,
        reason: number.is_multiple_of(5).then(|| format!("reason {}", number % 2)),
    }
}

fn filter(line: &str) -> Filter {
    Filter::parse(line).expect("a filter")
}

/// What a view must show, worked out from scratch.
fn expected(store: &Store, sort: Sort, filter: &Filter) -> Vec<u32> {
    let mut scratch = crate::app::filter::Scratch::new();
    let mut order: Vec<u32> = store
        .iter()
        .filter(|(_, row)| filter.matches(row, NOW, &mut scratch))
        .map(|(index, _)| index)
        .collect();
    order.sort_by(|a, b| sort.compare(store.rows(), *a, *b));
    order
}

#[derive(Debug, Clone)]
enum Step {
    Change(u32, u32),
    Remove(u32),
    Snapshot,
    Answer,
    Sort(usize, bool),
    Filter(usize),
    Mark(u32),
}

const FILTERS: [&str; 6] =
    ["", "state:failed", "sample-0", "tag:1 !state:queued", "reason:reason", "attempts:>1"];

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![
        6 => (0_u32..60, 0_u32..1000).prop_map(|(job, seed)| Step::Change(job, seed)),
        2 => (0_u32..60).prop_map(Step::Remove),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Answer),
        1 => (0_usize..9, any::<bool>()).prop_map(|(key, descending)| Step::Sort(key, descending)),
        1 => (0..FILTERS.len()).prop_map(Step::Filter),
        1 => (0_u32..60).prop_map(Step::Mark),
    ];
    prop::collection::vec(prop::collection::vec(step, 1..12), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    /// Whatever is merged, sorted, filtered and answered late: the order is what a sort from scratch gives, the
    /// counts are right, the selection stays with its job and the marks with theirs.
    #[test]
    fn the_order_is_always_that_of_a_sort_from_scratch(batches in steps()) {
        let mut store = Store::new();
        let mut view = View::new(Sort::default());
        let mut job_under_way: Option<ViewJob> = None;
        let mut kept: Option<(Snapshot, Vec<JobSummary>)> = None;
        let mut marked: std::collections::BTreeSet<JobId> = Default::default();
        let first: Vec<_> = (0..40).map(job).collect();
        let merged = store.merge(&first, &[]);
        view.merge(&store, &merged, NOW);
        view.resize(7);
        view.go(Move::By(0), &store);
        for batch in batches {
            let (mut changes, mut removed) = (Vec::new(), Vec::new());
            for step in batch {
                match step {
                    Step::Change(number, seed) => changes.push(JobSummary { id: id(number), ..job(seed) }),
                    Step::Remove(number) => removed.push(id(number)),
                    Step::Snapshot => {
                        let rows = store.iter().map(|(_, row)| row.summary()).collect();
                        kept = Some((store.snapshot(), rows));
                        job_under_way = Some(view.start(&store, NOW));
                    }
                    Step::Answer => if let Some(job) = job_under_way.take() {
                        view.accept(job.run(2), &store, NOW);
                    },
                    Step::Sort(key, descending) => {
                        let sort = Sort { key: SortKey::ALL[key], descending };
                        let _ = view.set_sort(sort, &store, NOW);
                    }
                    Step::Filter(number) => {
                        let _ = view.set_filter(filter(FILTERS[number]), &store, NOW);
                    }
                    Step::Mark(number) => if view.select(&id(number), &store) && !marked.contains(&id(number)) {
                        view.mark_selected(&store);
                        marked.insert(id(number));
                    },
                }
            }
            let anchor = view.selected(&store).map(|row| row.id());
            let merged = store.merge(&changes, &removed);
            view.merge(&store, &merged, NOW);
            // A job taken out and put back in one batch is another row: its mark goes.
            marked.retain(|id| !removed.contains(id));

            let (sort, filter) = view.showing();
            prop_assert_eq!(view.order(), &expected(&store, sort, filter)[..]);
            for state in State::ALL {
                let count = store.iter().filter(|(_, row)| row.state() == state).count();
                prop_assert_eq!(store.count(state), count as u64);
            }
            prop_assert_eq!(store.len(), store.iter().count());
            if let Some(id) = anchor.filter(|_| !view.is_empty())
                && view.order().iter().any(|&index| store.row(index).is_some_and(|row| row.id() == id)) {
                prop_assert_eq!(view.selected(&store).map(|row| row.id()), Some(id));
            }
            let mut ids = view.marked_ids(&store);
            prop_assert_eq!(view.marked(), ids.len());
            ids.sort();
            prop_assert_eq!(&ids, &marked.iter().cloned().collect::<Vec<_>>());
            let shown = view.order().iter().filter(|&&index| view.is_marked(index)).count();
            prop_assert_eq!(view.marked_hidden(), ids.len() - shown);
            if let Some((snapshot, rows)) = &kept {
                let now: Vec<_> = snapshot.range(0..snapshot.slots()).map(|(_, row)| row.summary()).collect();
                prop_assert_eq!(&now, rows, "a snapshot must not change");
            }
        }
    }
}

#[test]
fn a_row_comes_back_as_it_was_merged() {
    let mut store = Store::new();
    let jobs: Vec<_> = (0..600).map(job).collect();
    let merged = store.merge(&jobs, &[]);
    assert_eq!((merged.added, merged.changed), (600, 0));
    for job in &jobs {
        assert_eq!(store.get(&job.id).map(|row| row.summary()).as_ref(), Some(job));
    }
    assert!(store.merge(&jobs, &[]).is_empty(), "the same again changes nothing");
    let json = serde_json::to_string(&store).expect("writes");
    let back: Store = serde_json::from_str(&json).expect("reads");
    assert_eq!(back.counts(), store.counts());
}

#[test]
fn slots_and_text_of_removed_rows_are_used_again() {
    let mut store = Store::new();
    for round in 0..50_u32 {
        let jobs: Vec<_> = (0..200).map(|n| JobSummary { id: id(round * 200 + n), ..job(n) }).collect();
        let ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
        let _ = store.merge(&jobs, &[]);
        let merged = store.merge(&[], &ids);
        assert_eq!(merged.removed.len(), 200);
    }
    assert_eq!((store.len(), store.rows().slots()), (0, 200));
    assert!(store.rows().tags.len() <= 5);
}

/// Enough rows that a sort is a job for another thread.
fn many() -> (Store, View) {
    let (mut store, mut view) = (Store::new(), View::new(Sort::default()));
    let jobs: Vec<_> = (0..5000).map(job).collect();
    let merged = store.merge(&jobs, &[]);
    view.merge(&store, &merged, NOW);
    view.resize(20);
    (store, view)
}

#[test]
fn an_answer_to_an_older_question_is_dropped_and_the_newest_is_brought_up_to_date() {
    let (mut store, mut view) = many();
    let by_key = Sort { key: SortKey::Input, descending: false };
    let old = view.set_filter(filter("state:failed"), &store, NOW).expect("a job");
    let new = view.set_sort(by_key, &store, NOW).expect("a job");
    assert!(view.is_busy());
    let changed = JobSummary { state: State::Failed, input: "aaa".into(), ..job(0) };
    let merged = store.merge(std::slice::from_ref(&changed), &[id(4)]);
    view.merge(&store, &merged, NOW);
    assert_eq!(view.len(), 4999, "until then the old rows are shown, without the one that is gone");
    assert!(!view.accept(old.run(1), &store, NOW));
    assert!(view.accept(new.run(1), &store, NOW));
    assert!(!view.is_busy());
    assert_eq!(view.order(), expected(&store, by_key, &filter("state:failed")));
    assert_eq!(view.row_at(&store, 0).map(|row| row.id()), Some(changed.id), "changed under way");
}

#[test]
fn the_selection_comes_back_when_the_filter_goes() {
    let (store, mut view) = many();
    view.go(Move::To(777), &store);
    let chosen = view.selected(&store).map(|row| row.id());
    let wide = view.set_filter(filter("no such thing"), &store, NOW).expect("a job");
    view.accept(wide.run(1), &store, NOW);
    assert!(view.is_empty() && view.selected(&store).is_none());
    let all = view.set_filter(Filter::default(), &store, NOW).expect("a job");
    view.accept(all.run(1), &store, NOW);
    assert_eq!(view.selected(&store).map(|row| row.id()), chosen);
}

#[test]
fn until_it_is_moved_the_selection_stays_on_the_first_row() {
    let mut store = Store::new();
    let mut view = View::new(Sort::default());
    view.resize(5);
    for number in 0..20 {
        let newer = JobSummary { created_ms: NOW + i64::from(number), ..job(number) };
        let merged = store.merge(&[newer], &[]);
        view.merge(&store, &merged, NOW);
        assert_eq!((view.window().selected, view.window().top), (0, 0));
    }
    view.go(Move::By(1), &store);
    let chosen = view.selected(&store).map(|row| row.id());
    let newest = JobSummary { created_ms: NOW + 99, ..job(99) };
    let merged = store.merge(&[newest], &[]);
    view.merge(&store, &merged, NOW);
    assert_eq!(view.window().selected, 2);
    assert_eq!(view.selected(&store).map(|row| row.id()), chosen);
}

#[test]
fn marks_count_what_a_filter_hides_and_targets_are_listed() {
    let (store, mut view) = many();
    assert_eq!(view.targets(&store).len(), 1, "the selected one");
    view.mark_selected(&store);
    view.go(Move::By(3), &store);
    view.mark_range(&store);
    assert_eq!((view.marked(), view.marked_hidden()), (5, 0));
    let job = view.set_filter(filter("state:failed"), &store, NOW).expect("a job");
    view.accept(job.run(1), &store, NOW);
    let shown = view.order().iter().filter(|&&index| view.is_marked(index)).count();
    assert_eq!((view.marked(), view.marked_hidden()), (5, 5 - shown));
    assert_eq!(view.targets(&store).len(), 5);
    view.mark_all();
    assert_eq!(view.marked(), view.len() + view.marked_hidden());
    view.mark_all();
    assert_eq!(view.marked(), 5 - shown, "those hidden keep their mark");
    view.clear_marks();
    assert_eq!(view.marked(), 0);
}

#[test]
fn states_sort_by_the_funnel_and_what_is_missing_comes_last() {
    let mut store = Store::new();
    let jobs: Vec<_> = (0..30).map(job).collect();
    let _ = store.merge(&jobs, &[]);
    for descending in [false, true] {
        let sort = Sort { key: SortKey::State, descending };
        let mut states: Vec<_> = expected(&store, sort, &Filter::default())
            .iter()
            .map(|&i| store.row(i).expect("row").state())
            .collect();
        if descending {
            states.reverse();
        }
        assert!(states.is_sorted(), "{states:?}");
        let sort = Sort { key: SortKey::Tag, descending };
        let tags = expected(&store, sort, &Filter::default());
        assert!(store.row(*tags.last().expect("rows")).expect("row").tag().is_none());
    }
}

#[test]
fn a_full_sort_agrees_with_the_comparison_for_every_column() {
    let (store, _) = many();
    for key in SortKey::ALL {
        for descending in [false, true] {
            let sort = Sort { key, descending };
            let mut order: Vec<u32> = (0..5000).collect();
            sort.all(store.rows(), &mut order);
            assert_eq!(order, expected(&store, sort, &Filter::default()), "{sort:?}");
        }
    }
}

#[test]
fn the_history_counts_arrivals_and_ends() {
    let mut store = Store::new();
    store.tick(NOW);
    let queued = JobSummary { state: State::Queued, created_ms: NOW, ended_ms: None, ..job(1) };
    let _ = store.merge(std::slice::from_ref(&queued), &[]);
    let done = JobSummary { state: State::Succeeded, ended_ms: Some(NOW), ..queued };
    let _ = store.merge(std::slice::from_ref(&done), &[]);
    let _ = store.merge(&[JobSummary { attempts: 9, ..done }], &[]);
    assert_eq!(store.history().arrived().last(), Some(&1));
    assert_eq!(store.history().ended().last(), Some(&1));
}
