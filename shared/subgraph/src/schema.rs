//! The schema of a subgraph: its SDL, and running operations against it.

use crate::{
    batch::{self, Gathering},
    graphql::{Executor, StreamExecutor},
    limits,
    service::Service,
};
use async_graphql::{
    ObjectType, SDLExportOptions, Schema, SchemaBuilder, SubscriptionType, dataloader::DataLoader,
};
use futures_util::{StreamExt, stream::unfold};
use std::{sync::Arc, time::Duration};

fn build<Q, M, S>() -> SchemaBuilder<Q, M, S>
where
    Q: ObjectType + Default + 'static,
    M: ObjectType + Default + 'static,
    S: SubscriptionType + Default + 'static,
{
    Schema::build(Q::default(), M::default(), S::default())
        .enable_federation()
        .enable_subscription_in_federation()
}

/// The federation SDL, which needs neither configuration nor database.
pub(crate) fn sdl<Q, M, S>() -> String
where
    Q: ObjectType + Default + 'static,
    M: ObjectType + Default + 'static,
    S: SubscriptionType + Default + 'static,
{
    let options = SDLExportOptions::new().federation().compose_directive();
    let sdl = build::<Q, M, S>().finish().sdl_with_options(options);
    let lines: Vec<&str> = sdl.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim())
}

/// Runs operations over a service's data: queries and mutations, and subscriptions where there are some.
pub(crate) fn executor<Q, M, S>(service: &Service) -> (Executor, Option<StreamExecutor>)
where
    Q: ObjectType + Default + 'static,
    M: ObjectType + Default + 'static,
    S: SubscriptionType + Default + 'static,
{
    let loader = DataLoader::new(service.clone(), batch::start).delay(Duration::ZERO);
    let schema = build::<Q, M, S>().limit_depth(limits::MAX_DEPTH).limit_complexity(limits::MAX_COMPLEXITY);
    let schema = if service.config.is_development() {
        schema
    } else {
        schema.disable_introspection().disable_suggestions()
    };
    let schema = schema.data(service.clone()).data(loader).finish();
    let streamed = schema.clone();
    let stream: StreamExecutor = Arc::new(move |request| {
        let answers = Box::pin(streamed.execute_stream(request));
        unfold(answers, |mut answers| {
            Gathering(Box::pin(async move { answers.next().await.map(|answer| (answer, answers)) }))
        })
        .boxed()
    });
    let execute: Executor = Arc::new(move |request| {
        let schema = schema.clone();
        Box::pin(Gathering(Box::pin(async move { schema.execute(request).await })))
    });
    (execute, (!S::is_empty()).then_some(stream))
}

/// The types with a key that a subgraph resolves.
pub(crate) fn entities(sdl: &str) -> Vec<String> {
    let types = sdl.lines().filter(|line| line.starts_with("type ") && line.contains("@key"));
    let resolvable = types.filter(|line| !line.contains("resolvable: false"));
    resolvable.filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_types_this_subgraph_resolves_are_entities() {
        let sdl =
            "type A @key(fields: \"id\") {\ntype B @key(fields: \"id\", resolvable: false) {\ntype C {\n";
        assert_eq!(super::entities(sdl), ["A"]);
    }
}
