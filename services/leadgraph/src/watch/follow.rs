//! Following notifications on one connection: from where, and what to do when the server cannot go on from there.

use std::convert::Infallible;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    Ended,
    notification::{Notification, Output, SELECTION},
    socket::{Said, Socket},
};

/// How many notifications are asked for at once, at most.
const NEWEST: u32 = 500;

/// Up to where notifications were shown; it outlives a connection.
#[derive(Debug)]
pub(super) struct Place {
    /// Nothing before the first connection.
    after: Option<i32>,
}

impl Place {
    pub fn new(since: Option<i32>) -> Self {
        Self { after: since }
    }

    /// Shows a notification, unless it was shown before.
    fn show(&mut self, value: &Value, output: &Output) -> Result<(), Ended> {
        let read = Notification::read(value).context("the server said what is no notification");
        let notification = read.map_err(Ended::Lasting)?;
        if self.after.is_some_and(|after| notification.sequence <= after) {
            return Ok(());
        }
        let read = output.show(&notification, value).context("cannot print").map_err(Ended::Lasting)?;
        self.after = Some(notification.sequence);
        if read { Ok(()) } else { Err(Ended::Unread) }
    }

    /// Goes on from what the server has, when it cannot go on from here. Says what of that is to be shown.
    fn start_afresh(&mut self, mut newest: Vec<Value>) -> Vec<Value> {
        let last = last(&newest);
        let after = self.after.unwrap_or_default();
        if after > last {
            eprintln!(
                "leadgraph: the server knows nothing of notification {after}: its data is older; going on from now"
            );
            self.after = Some(last);
            return Vec::new();
        }
        eprintln!("leadgraph: too much happened since notification {after}; going on with the newest ones");
        newest.retain(|value| sequence(value) > after);
        newest.sort_by_key(sequence);
        newest
    }
}

fn sequence(value: &Value) -> i32 {
    value["sequence"].as_i64().and_then(|sequence| i32::try_from(sequence).ok()).unwrap_or_default()
}

/// The highest sequence, 0 when there is none.
fn last(notifications: &[Value]) -> i32 {
    notifications.iter().map(sequence).max().unwrap_or_default()
}

/// Shows notifications until the connection ends, and says why it did.
pub(super) async fn follow(socket: &mut Socket, place: &mut Place, output: &Output) -> Ended {
    match follow_on(socket, place, output).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

async fn follow_on(socket: &mut Socket, place: &mut Place, output: &Output) -> Result<Infallible, Ended> {
    if place.after.is_none() {
        // Known before the first one comes: a connection that is lost earlier must lose nothing either
        place.after = Some(last(&newest(socket).await?));
    }
    eprintln!("leadgraph: connected");
    let mut from_now = false;
    loop {
        let after = place.after.filter(|_| !from_now);
        match subscription(socket, after, place, output).await? {
            Stopped::Missed => from_now = false,
            Stopped::TooOld => {
                let before = place.after;
                for value in place.start_afresh(newest(socket).await?) {
                    place.show(&value, output)?;
                }
                // There is no newer one to go on from
                from_now = place.after == before;
            }
        }
    }
}

/// Why the server ended a subscription.
#[derive(Debug)]
enum Stopped {
    /// Some were not delivered: it wants to be asked for them.
    Missed,
    /// It does not keep all that would have to be delivered.
    TooOld,
}

/// Shows what one subscription delivers, until it stops.
async fn subscription(
    socket: &mut Socket,
    after: Option<i32>,
    place: &mut Place,
    output: &Output,
) -> Result<Stopped, Ended> {
    let query =
        format!("subscription($after: Int) {{ notificationCreated(afterSequence: $after) {SELECTION} }}");
    let id = socket.begin(&query, json!({ "after": after })).await?;
    loop {
        match socket.next().await? {
            Said::Next { id: of, payload } if of == id => match payload.get("errors") {
                Some(errors) => return stopped(errors),
                None => place.show(&payload["data"]["notificationCreated"], output)?,
            },
            Said::Error { id: of, payload } if of == id => return stopped(&payload),
            Said::Complete { id: of } if of == id => {
                return Err(Ended::passing("the server ended the subscription"));
            }
            _ => {}
        }
    }
}

fn stopped(errors: &Value) -> Result<Stopped, Ended> {
    let (message, extensions) = (&errors[0]["message"], &errors[0]["extensions"]);
    let why = message.as_str().unwrap_or("the server refuses without a reason");
    match extensions["code"].as_str() {
        _ if !extensions["afterSequence"].is_null() => Ok(Stopped::Missed),
        Some("NOT_FOUND") => Ok(Stopped::TooOld),
        Some("UNAUTHENTICATED") => Err(Ended::refused(why)),
        Some("FORBIDDEN" | "BAD_USER_INPUT") => Err(Ended::lasting(why)),
        _ => Err(Ended::passing(why)),
    }
}

/// The newest notifications there are.
async fn newest(socket: &mut Socket) -> Result<Vec<Value>, Ended> {
    let query = format!("{{ getNotifications(limit: {NEWEST}) {SELECTION} }}");
    let id = socket.begin(&query, json!({})).await?;
    loop {
        match socket.next().await? {
            Said::Next { id: of, mut payload } if of == id => {
                return match payload["data"]["getNotifications"].take() {
                    Value::Array(newest) => Ok(newest),
                    _ => Err(unanswered(&payload["errors"])),
                };
            }
            Said::Error { id: of, payload } if of == id => return Err(unanswered(&payload)),
            _ => {}
        }
    }
}

fn unanswered(errors: &Value) -> Ended {
    stopped(errors).err().unwrap_or_else(|| Ended::passing("the server does not say what there is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(sequence: i32) -> Value {
        json!({
            "type": "LEAD_CREATED", "title": "t", "message": "m", "sequence": sequence,
            "createdAt": "2026-01-15T12:00:00Z",
        })
    }

    fn error(extensions: &Value) -> Result<Stopped, Ended> {
        stopped(&json!([{ "message": "no", "extensions": extensions }]))
    }

    #[test]
    fn each_reason_to_stop_has_its_consequence() {
        let missed = error(&json!({ "code": "UNAVAILABLE", "afterSequence": 42 }));
        assert!(matches!(missed, Ok(Stopped::Missed)));
        assert!(matches!(error(&json!({ "code": "NOT_FOUND" })), Ok(Stopped::TooOld)));
        assert!(matches!(error(&json!({ "code": "UNAUTHENTICATED" })), Err(Ended::Refused(_))));
        assert!(matches!(error(&json!({ "code": "FORBIDDEN" })), Err(Ended::Lasting(_))));
        assert!(matches!(error(&json!({ "code": "UNAVAILABLE" })), Err(Ended::Passing(_))));
        assert!(matches!(stopped(&Value::Null), Err(Ended::Passing(_))));
    }

    #[test]
    fn what_was_shown_is_not_shown_again() {
        let (mut place, output) = (Place::new(Some(3)), Output { json: true });
        for sequence in [3, 4, 2, 4] {
            place.show(&notification(sequence), &output).ok().unwrap();
        }
        assert_eq!(place.after, Some(4));
        assert!(matches!(place.show(&json!({}), &output), Err(Ended::Lasting(_))));
    }

    #[test]
    fn starting_afresh_shows_what_is_new_in_order() {
        let mut place = Place::new(Some(3));
        let shown = place.start_afresh([9, 3, 7, 8].map(notification).into());
        assert_eq!(shown.iter().map(sequence).collect::<Vec<_>>(), [7, 8, 9]);
        let mut ahead = Place::new(Some(50));
        assert!(ahead.start_afresh([9, 8].map(notification).into()).is_empty());
        assert_eq!(ahead.after, Some(9));
    }
}
