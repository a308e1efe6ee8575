//! How fast a console learns of a million jobs, and how fast rows are written and changed.
//!
//! `cargo bench -p shepard-cloud --bench changes`; `SHEPARD_BENCH_ROWS` for another number of rows.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shepard_cloud::local::{Home, LocalFlock, Settings};
use shepard_cloud::ports::{Cursor, Put, Table as _};
use shepard_model::{Inputs, JobId, JobRow, ObjectRef, Transition};

/// Rows a page, as the console's feed asks for them.
const PAGE: usize = 10_000;

fn row(number: usize) -> JobRow {
    let object = ObjectRef::new("inputs", format!("run-7/sample-{number:07}.zip"));
    let inputs = Inputs::from_json(r#"{"TAG":"cohort-a","THREADS":4,"REFERENCE":"GRCh38"}"#).expect("inputs");
    JobRow::arrived(JobId::of_object(&object), Some(object), inputs, 1_700_000_000_000, 30)
}

async fn read_all(flock: &LocalFlock) -> usize {
    let (mut cursor, mut rows) = (Cursor::default(), 0);
    loop {
        let page = flock.table().changes(cursor, PAGE).await.expect("changes");
        rows += page.rows.len();
        cursor = page.next;
        black_box(&page.rows);
        if !page.more {
            return rows;
        }
    }
}

fn changes(criterion: &mut Criterion) {
    let total =
        std::env::var("SHEPARD_BENCH_ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let temp = tempfile::tempdir().expect("temp");
    let dir = Home::new(temp.path()).create(&Settings::named("bench")).expect("create");
    let flock = LocalFlock::open(&dir).expect("open");
    for number in 0..total {
        let put = runtime.block_on(flock.table().put_new(&row(number))).expect("put");
        assert_eq!(put, Put::Created);
    }

    let mut group = criterion.benchmark_group("table");
    group.sample_size(10);
    group.throughput(Throughput::Elements(total as u64));
    group.bench_function("changes", |bench| {
        bench.iter(|| assert_eq!(runtime.block_on(read_all(&flock)), total));
    });
    group.throughput(Throughput::Elements(1));
    let mut number = total;
    group.bench_function("put_new", |bench| {
        bench.iter(|| {
            number += 1;
            runtime.block_on(flock.table().put_new(&row(number))).expect("put")
        });
    });
    let mut turn = 0;
    group.bench_function("apply", |bench| {
        bench.iter(|| {
            turn += 1;
            let change = Transition::Submitted { run: 1, compute_id: "c".into(), at_ms: 1 };
            runtime.block_on(flock.table().apply(&row(turn % total).id, &change)).expect("apply")
        });
    });
    group.bench_function("counts", |bench| {
        bench.iter(|| runtime.block_on(flock.counts()).expect("counts"));
    });
    group.finish();
}

criterion_group!(benches, changes);
criterion_main!(benches);
