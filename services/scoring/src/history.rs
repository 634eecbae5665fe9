//! How scores changed: each change of a stored score, with what it came from.

use crate::{model::ScoreModel, score};
use async_graphql::{ComplexObject, Context, ID, SimpleObject, connection::EmptyFields};
use events::Event;
use sea_orm::{ActiveValue::NotSet, entity::prelude::*};
use subgraph::{Change, Child, CursorConnection, Key, Newest, PageRequest, Received, Result, Sort};

/// One change of a lead's score.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "score_change")]
#[graphql(name = "ScoreChange", complex)]
#[expect(
    clippy::struct_field_names,
    reason = "the model of a row and the model of a score are two words for people"
)]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    #[graphql(skip)]
    pub id: i64,
    #[graphql(skip)]
    pub lead_id: i32,
    /// The score after the change, 0 to 100.
    pub activity_score: i32,
    /// The score that was stored before the change; null for the first one.
    pub previous: Option<i32>,
    /// The band after the change, A1 to C3.
    pub band: String,
    /// What changed the score: a type of event such as interaction.created, or RECALCULATION or SUMMARY.
    pub cause: String,
    #[graphql(skip)]
    pub cause_id: Option<Uuid>,
    /// The interaction it was about, if it was one.
    pub interaction_id: Option<i32>,
    /// When it changed.
    pub at: DateTimeUtc,
    /// Which rules it was calculated by.
    pub model_version: String,
}

/// No relations: the lead is another service's.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

#[ComplexObject]
impl Model {
    /// The id of that event or run; null for what has none.
    async fn cause_id(&self) -> Option<ID> {
        self.cause_id.map(ID::from)
    }
}

/// What changed a score.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    name: &'static str,
    id: Option<Uuid>,
    interaction: Option<i32>,
    bulk: bool,
}

impl Cause {
    /// Something that happened.
    pub fn event<E: Event>(received: &Received<E>) -> Self {
        let subject = received.event.subject();
        let interaction = subject.strip_prefix("interaction/").and_then(|id| id.parse().ok());
        Self { name: E::TYPE, id: Some(received.id), interaction, bulk: received.batch.is_some() }
    }

    /// Somebody asked for the lead's summary, and so for its score as of now.
    pub fn summary() -> Self {
        Self { name: "SUMMARY", id: None, interaction: None, bulk: false }
    }

    /// As the history names it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether others are told of what it changes: not of what time alone does.
    pub fn is_told(&self) -> bool {
        self.id.is_some()
    }

    /// Whether it was a part of bulk work, of whose parts nobody is notified.
    pub fn is_bulk(&self) -> bool {
        self.bulk
    }
}

/// Under which name a run of [`crate::recalculation`] is in the history.
pub(crate) const RECALCULATION: &str = "RECALCULATION";

/// Adds a change that `row` is the outcome of.
pub(crate) async fn add(change: &Change, row: &score::Model, cause: &Cause) -> Result<()> {
    let model = change.service().state::<ScoreModel>();
    let added = ActiveModel {
        id: NotSet,
        ..Model {
            id: 0,
            lead_id: row.lead_id,
            activity_score: row.activity_score,
            previous: row.previous_score,
            band: row.band(model, row.score_calculated_at),
            cause: cause.name.into(),
            cause_id: cause.id,
            interaction_id: cause.interaction,
            at: row.score_calculated_at,
            model_version: row.model_version.clone(),
        }
        .into()
    };
    Entity::insert(added).exec_without_returning(change.tx()).await?;
    Ok(())
}

/// Forgets the history of a lead that was removed.
pub(crate) async fn remove_of_lead(change: &Change, lead: i32) -> Result<u64> {
    let removal = Entity::delete_many().filter(Column::LeadId.eq(lead));
    Ok(removal.exec(change.tx()).await?.rows_affected)
}

impl Child for Model {
    fn parent(&self) -> i32 {
        self.lead_id
    }
}

/// One page of a lead's history, newest first.
pub(crate) async fn page(
    ctx: &Context<'_>,
    lead: i32,
    first: Option<i32>,
    after: Option<String>,
) -> Result<CursorConnection<Model>> {
    let sort = newest(lead);
    let page = PageRequest::try_new(sort.name.clone(), (first, after), (None, None))?;
    let list = Newest {
        table: "score_change",
        parent: "lead_id",
        by: "id",
        only: String::new(),
        oldest: false,
        limit: page.limit,
        offset: 0,
    };
    let of_lead = Entity::find().filter(Column::LeadId.eq(lead));
    Ok(sort.page_under(ctx, (lead, list), of_lead, &page).await?.into_connection(EmptyFields))
}

/// The order in which things happened, newest first.
fn newest(lead: i32) -> Sort<Entity> {
    Sort {
        name: format!("lead:{lead}:scoreHistory"),
        key: Column::Id.into_expr(),
        id: Column::LeadId,
        place: |row| (Key::Int(row.id), row.lead_id),
        example: Key::Int(0),
        nullable: false,
        descending: true,
    }
}
