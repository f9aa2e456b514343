//! The service `stockd.v1.Stocks`.
//!
//! It owns what each of its methods asks of the engine. Invariant: a method that is refused has changed nothing.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::Stream;
use stockd_engine::Snapshot;
use stockd_model::limits::{
    HTTP_LOOKUP_NAMES_MAX, LOOKUPS_TOGETHER_MAX, SNAPSHOT_PAGE_ROWS, SNAPSHOTS_MAX,
};
use stockd_model::{Condition, Conditional, Problem, Reply, Request as Asked, Shares, Symbol};
use tonic::{Request, Response, Status};

use super::convert;
use super::proto::{self, stocks_server};
use super::watch::Watching;
use crate::caller::Caller;
use crate::lookup;
use crate::plane::Plane;
use crate::refused::Refused;

/// The service.
#[derive(Debug)]
pub(super) struct Stocks {
    plane: Arc<Plane>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Stocks {
    pub(super) fn new(plane: &Arc<Plane>) -> Stocks {
        Stocks { plane: Arc::clone(plane) }
    }

    async fn write(
        &self,
        caller: &Caller,
        request: Asked,
        condition: Condition,
        name: &str,
    ) -> Answer<proto::Quote> {
        let asked = Conditional { condition, request };
        match self.plane.door.write(caller.access(), asked).await? {
            Reply::Refused(refusal) => Err(Refused::from(&refusal).into()),
            Reply::NotFound => Err(Refused::not_listed(name).into()),
            Reply::Found(quote)
            | Reply::Listed(quote)
            | Reply::Updated(quote)
            | Reply::Cleared(quote, _)
            | Reply::Delisted(quote) => Ok(Response::new(convert::quote(&quote))),
        }
    }
}

#[tonic::async_trait]
impl stocks_server::Stocks for Stocks {
    async fn lookup(&self, request: Request<proto::LookupRequest>) -> Answer<proto::Quote> {
        let caller = Caller::of(request.extensions());
        let name = &request.get_ref().symbol;
        let lookup = Asked::Lookup(Symbol::parse(name.as_bytes()));
        match self.plane.door.batch(caller.access(), |batch| batch.execute_now(&lookup)) {
            Some(Reply::Found(quote)) => Ok(Response::new(convert::quote(&quote))),
            Some(Reply::Refused(refusal)) => Err(Refused::from(&refusal).into()),
            _ => Err(Refused::not_listed(name).into()),
        }
    }

    async fn batch_lookup(
        &self,
        request: Request<proto::BatchLookupRequest>,
    ) -> Answer<proto::BatchLookupResponse> {
        let caller = Caller::of(request.extensions());
        let mut names = request.into_inner().symbols;
        if names.len() > HTTP_LOOKUP_NAMES_MAX {
            return Err(lookup::too_many(names.len(), HTTP_LOOKUP_NAMES_MAX).into());
        }
        lookup::distinct(&mut names);
        let mut answer = proto::BatchLookupResponse::default();
        for (number, names) in names.chunks(LOOKUPS_TOGETHER_MAX).enumerate() {
            self.plane.door.batch(caller.access(), |batch| {
                for name in names {
                    let lookup = Asked::Lookup(Symbol::parse(name.as_bytes()));
                    match batch.execute_now(&lookup) {
                        Some(Reply::Found(quote)) => answer.quotes.push(convert::quote(&quote)),
                        Some(Reply::Refused(_)) => answer.forbidden.push(name.clone()),
                        _ => answer.missing.push(name.clone()),
                    }
                }
            });
            if number % 64 == 63 {
                tokio::task::yield_now().await;
            }
        }
        Ok(Response::new(answer))
    }

    type ListStream = Listing;

    async fn list(&self, request: Request<proto::ListRequest>) -> Answer<Listing> {
        let caller = Caller::of(request.extensions());
        let snapshot = self.plane.engine().snapshot(caller.access(), Instant::now());
        let snapshot = snapshot.ok_or_else(|| {
            let detail = format!("{SNAPSHOTS_MAX} snapshots are being read, the limit");
            Refused::new(Problem::TooManySnapshots, detail)
        })?;
        let prefix = request.into_inner().prefix;
        Ok(Response::new(Listing { snapshot: Some(snapshot), prefix, page: VecDeque::new() }))
    }

    async fn update(&self, request: Request<proto::UpdateRequest>) -> Answer<proto::Quote> {
        let caller = Caller::of(request.extensions());
        let proto::UpdateRequest { symbol: name, fields, clear, expected_version, condition } =
            request.into_inner();
        let symbol = Symbol::parse(name.as_bytes()).map_err(Refused::from)?;
        let fields = convert::fields(fields, &clear)?;
        let condition = match (proto::Condition::try_from(condition), expected_version) {
            (Ok(proto::Condition::Unspecified), version) => expected(version),
            (Ok(proto::Condition::Listed), None) => Condition::Listed,
            (Ok(proto::Condition::Unlisted), None) => Condition::Unlisted,
            (Ok(_), Some(_)) | (Err(_), _) => {
                let detail = "give an expected version, or a condition that there is";
                return Err(Refused::new(Problem::InvalidCondition, detail).into());
            }
        };
        self.write(&caller, Asked::Set(symbol, fields), condition, &name).await
    }

    async fn delist(
        &self,
        request: Request<proto::DelistRequest>,
    ) -> Answer<proto::DelistResponse> {
        let caller = Caller::of(request.extensions());
        let proto::DelistRequest { symbol: name, expected_version } = request.into_inner();
        let symbol = Symbol::parse(name.as_bytes()).map_err(Refused::from)?;
        let condition = expected(expected_version);
        self.write(&caller, Asked::Delist(symbol), condition, &name).await?;
        Ok(Response::new(proto::DelistResponse {}))
    }

    async fn trade(&self, request: Request<proto::TradeRequest>) -> Answer<proto::Quote> {
        let caller = Caller::of(request.extensions());
        let proto::TradeRequest { symbol: name, side, quantity, expected_version } =
            request.into_inner();
        let symbol = Symbol::parse(name.as_bytes()).map_err(Refused::from)?;
        let volume = convert::read_quantity(quantity.unwrap_or_default())?;
        if volume.is_exhausted() {
            let detail = "the quantity of a trade is above 0";
            return Err(Refused::new(Problem::InvalidValue, detail).into());
        }
        let shares = match proto::Side::try_from(side) {
            Ok(proto::Side::Buy) => Shares::Take(volume),
            Ok(proto::Side::Sell) => Shares::Add(volume),
            Ok(proto::Side::Unspecified) | Err(_) => {
                let detail = "the side of a trade is SIDE_BUY or SIDE_SELL";
                return Err(Refused::new(Problem::InvalidValue, detail).into());
            }
        };
        self.write(&caller, Asked::Trade(symbol, shares), expected(expected_version), &name).await
    }

    type WatchStream = Watching;

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Answer<Watching> {
        let watching = Watching::begin(&self.plane, request)?;
        let info = watching.info();
        let mut response = Response::new(watching);
        // Its bytes are counted where they leave.
        response.extensions_mut().insert(info);
        Ok(response)
    }
}

fn expected(version: Option<u64>) -> Condition {
    version.map_or(Condition::Always, Condition::Version)
}

/// A snapshot, quote by quote.
#[derive(Debug)]
pub(super) struct Listing {
    snapshot: Option<Snapshot>,
    prefix: String,
    page: VecDeque<proto::Quote>,
}

impl Stream for Listing {
    type Item = Result<proto::Quote, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(quote) = self.page.pop_front() {
            return Poll::Ready(Some(Ok(quote)));
        }
        let Some(snapshot) = &mut self.snapshot else { return Poll::Ready(None) };
        match snapshot.page(SNAPSHOT_PAGE_ROWS, Instant::now()) {
            Ok(Some(quotes)) => {
                let prefix = &self.prefix;
                let fits = quotes.iter().filter(|it| it.symbol.as_str().starts_with(prefix));
                self.page = fits.map(convert::quote).collect();
                // A page is a piece of work: others have their turn.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(None) => {
                self.snapshot = None;
                Poll::Ready(None)
            }
            Err(ended) => {
                self.snapshot = None;
                let refused = Refused::new(Problem::TooManySnapshots, ended.to_string());
                Poll::Ready(Some(Err(refused.into())))
            }
        }
    }
}
