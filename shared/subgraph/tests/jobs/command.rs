//! Jobs from the command line.

use crate::{
    BOTH, thing,
    workshop::{Make, Trouble, Workshop, ask, hanging, let_go, made, subgraph, until},
};
use std::{sync::Mutex, time::Duration};
use subgraph::jobs::{Model, Status};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_does_it_where_no_service_runs() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let folder = tempfile::tempdir().unwrap();
        let none = subgraph().work_off(workshop.config(&folder), &Make::new("x", 1), &|_| {}).await;
        assert!(format!("{:#}", none.unwrap_err()).contains("start it first"));
        let (office, _folder) = workshop.office().await;
        let seen = Mutex::new(Vec::new());
        let show = |job: &Model| seen.lock().unwrap().push(job.done);
        let done =
            subgraph().work_off(workshop.config(&folder), &Make::new("cart", 40), &show).await.unwrap();
        assert_eq!((done.status, done.done), (Status::Succeeded, 40));
        let seen = seen.into_inner().unwrap();
        assert!(seen.is_sorted() && seen.last() == Some(&40), "{seen:?}");
        assert_eq!(made(&office, "cart").await.len(), 40);
        let failed = subgraph();
        let job = Make::new("bad", 2).with(Trouble::Refused);
        let failed = failed.work_off(workshop.config(&folder), &job, &|_| {}).await.unwrap();
        assert_eq!((failed.status, failed.error.as_deref()), (Status::Failed, Some("there is no wood")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_watches_where_a_service_does_it() {
    for new in BOTH {
        let workshop = Workshop::build(new);
        let bridge = thing("bridge", &workshop.database);
        let shift = workshop.open().await;
        let make = Make::new(&bridge, 4).with(Trouble::Hangs).keyed("bridge");
        let asked = ask(&shift.service, &make).await;
        until("the service has it", async || hanging(&bridge).len() == 1).await;
        let folder = tempfile::tempdir().unwrap();
        let (config, seen) = (workshop.config(&folder), Mutex::new(Vec::new()));
        let show = |job: &Model| {
            seen.lock().unwrap().push((job.status, job.done));
            let_go(&bridge);
        };
        let limit = Duration::from_secs(20);
        let (command, asks) = (subgraph(), Make::new("other", 1).keyed("bridge"));
        let done = timeout(limit, command.work_off(config, &asks, &show)).await.unwrap().unwrap();
        assert_eq!((done.id, done.status, done.done), (asked.id, Status::Succeeded, 4));
        assert!(seen.into_inner().unwrap().contains(&(Status::Running, 1)));
        assert_eq!(hanging(&bridge).len(), 4, "all by the service");
        assert_eq!(made(&shift.service, &bridge).await, [1, 2, 3, 4]);
        shift.end().await;
    }
}
