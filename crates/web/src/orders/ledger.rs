//! Executes orders one after the other, each under the next number.
//!
//! It knows no protocol. Invariant: a number is answered when its record and its trade are kept, and the numbers of the
//! orders that were executed are those from 0 on, without gaps.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stockd_engine::{Access, Engine, Outcome, Transaction};
use stockd_model::limits::{ORDER_ATTEMPTS_MAX, ORDERS_TOGETHER_MAX, ORDERS_WAITING_MAX};
use stockd_model::{
    Condition, Conditional, Edit, Fields, Problem, Quote, Refusal, Reply, Request, Shares, Status,
    Symbol, Volume, Watched,
};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::door::{self, Door};
use crate::orders::records::{Order, Records};
use crate::refused::Refused;

/// The stock whose volume is the number of orders, where they are kept on the disk. It is halted: nothing trades it.
pub(crate) const COUNT: &str = "stockd.orders";

/// All orders.
#[derive(Debug)]
pub(crate) struct Ledger {
    count: Symbol,
    records: Arc<Records>,
    /// The number of the next order.
    next: AtomicU64,
    asked: mpsc::Sender<Asked>,
    waiting: Mutex<mpsc::Receiver<Asked>>,
    /// Orders that found no room to wait.
    refused: AtomicU64,
    /// How long an order waits for the disk.
    patience: Duration,
}

/// What the ledger counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LedgerReport {
    /// Orders that were executed.
    pub(crate) executed: u64,
    /// Orders that were refused because [`ORDERS_WAITING_MAX`] waited.
    pub(crate) refused: u64,
    pub(crate) waiting: usize,
    /// Orders that can be asked for.
    pub(crate) kept: u64,
    pub(crate) kept_max: u64,
}

/// An order that is to be executed, and the request that waits for its number.
#[derive(Debug)]
struct Asked {
    symbol: Symbol,
    shares: Shares,
    done: oneshot::Sender<Result<u64, Refused>>,
}

impl Asked {
    fn answer(self, outcome: Result<u64, Refused>) {
        // The request that asked may be gone.
        let _ = self.done.send(outcome);
    }

    fn request(&self) -> Request {
        Request::Trade(self.symbol, self.shares)
    }
}

impl Ledger {
    pub(crate) fn new(engine: &Engine, records: Records, patience: Duration) -> Ledger {
        let (asked, waiting) = mpsc::channel(ORDERS_WAITING_MAX);
        let count = Symbol::parse(COUNT.as_bytes()).expect("it can be a symbol");
        let next = AtomicU64::new(counted(engine, &count).map_or(0, |(next, _)| next));
        let (records, waiting) = (Arc::new(records), Mutex::new(waiting));
        Ledger { count, records, next, asked, waiting, refused: AtomicU64::new(0), patience }
    }

    /// What it has counted.
    pub(crate) fn report(&self) -> LedgerReport {
        let (executed, kept_max) = (self.count(), self.records.kept_max());
        LedgerReport {
            executed,
            refused: self.refused.load(Ordering::Relaxed),
            waiting: self.asked.max_capacity() - self.asked.capacity(),
            kept: executed.min(kept_max),
            kept_max,
        }
    }

    /// How many orders were executed.
    pub(crate) fn count(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Executes an order that its client may make. Returns its number.
    pub(crate) async fn place(&self, symbol: Symbol, shares: Shares) -> Result<u64, Refused> {
        let (done, placed) = oneshot::channel();
        self.asked.try_send(Asked { symbol, shares, done }).map_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let detail = format!("{ORDERS_WAITING_MAX} orders wait to be executed, the limit");
            Refused::new(Problem::Busy, detail)
        })?;
        match tokio::time::timeout(self.patience, placed).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(door::stopping()),
            Err(_) => Err(door::uncertain(self.patience)),
        }
    }

    /// The order of this number, if there is one and it is kept.
    pub(crate) async fn find(&self, number: u64) -> Result<Option<Order>, Refused> {
        if number >= self.count() {
            return Ok(None);
        }
        let records = Arc::clone(&self.records);
        let found = tokio::task::spawn_blocking(move || records.find(number));
        let unreadable = |error: String| Refused::new(Problem::ReadOnly, error);
        let found = tokio::time::timeout(self.patience, found).await.map_err(|_| {
            let seconds = self.patience.as_secs();
            Refused::new(Problem::Busy, format!("the disk has not answered for {seconds} s"))
        })?;
        found
            .map_err(|error| unreadable(error.to_string()))?
            .map_err(|error| unreadable(format!("the file of orders cannot be read: {error}")))
    }

    /// Executes what is asked, for ever.
    pub(crate) async fn run(&self, door: &Door) {
        let mut waiting = self.waiting.lock().await;
        let mut orders = Vec::new();
        while waiting.recv_many(&mut orders, ORDERS_TOGETHER_MAX).await > 0 {
            let mut left = std::mem::take(&mut orders);
            if !door.is_durable() {
                self.execute_in_memory(door, left).await;
                continue;
            }
            for _ in 0..2 {
                left = self.execute(door, Plan::together(&door.engine, left)).await;
            }
            // What others keep changing meanwhile is executed whatever it looks like.
            for asked in left {
                self.execute_alone(door, asked).await;
            }
        }
    }

    async fn execute_alone(&self, door: &Door, asked: Asked) {
        let mut left = vec![asked];
        for _ in 0..ORDER_ATTEMPTS_MAX {
            left = self.execute(door, Plan { going: left, ..Plan::default() }).await;
        }
        left.into_iter().for_each(|asked| asked.answer(Err(overtaken())));
    }

    async fn execute_in_memory(&self, door: &Door, orders: Vec<Asked>) {
        for asked in orders {
            let reply = door.write(&Access::All, asked.request().into()).await;
            let outcome = reply.and_then(|reply| match reply {
                Reply::Refused(refusal) => Err((&refusal).into()),
                _ => {
                    let number = self.count();
                    let Asked { symbol, shares, .. } = asked;
                    // Memory keeps what it is given.
                    let _ = self.records.keep(&[Order { number, symbol, shares }]);
                    self.next.store(number + 1, Ordering::Release);
                    Ok(number)
                }
            });
            asked.answer(outcome);
        }
    }

    /// Executes what is planned. Returns what is to be tried again: others have changed something meanwhile, or it
    /// depends on orders before it.
    async fn execute(&self, door: &Door, plan: Plan) -> Vec<Asked> {
        if plan.is_empty() {
            return plan.all();
        }
        let (next, version) = match self.counted(door).await {
            Ok(counted) => counted,
            Err(refused) => return refuse_all(plan.all(), &refused),
        };
        let Plan { doomed, going, mut later } = plan;
        let records: Vec<Order> = (next..)
            .zip(&going)
            .map(|(number, asked)| Order { number, symbol: asked.symbol, shares: asked.shares })
            .collect();
        if let Err(refused) = self.keep(records).await {
            return refuse_all(Plan { doomed, going, later }.all(), &refused);
        }
        let refused = |(asked, watched): &(Asked, Watched)| {
            Transaction::new(vec![*watched], vec![asked.request()])
        };
        let numbered = |(at, asked): (u64, &Asked)| {
            let watched = vec![(self.count, Condition::Version(version + at))];
            let counted = Request::Update(self.count, count_is(next + at + 1));
            Transaction::until_refused(watched, vec![asked.request(), counted])
        };
        let transactions =
            doomed.iter().map(refused).chain((0..).zip(&going).map(numbered)).collect();
        let outcomes = match door.transact(&Access::All, transactions).await {
            Ok(outcomes) => outcomes,
            Err(refused) => return refuse_all(Plan { doomed, going, later }.all(), &refused),
        };
        let asked = doomed.into_iter().map(|(asked, _)| (asked, None));
        let asked = asked.chain(going.into_iter().zip((next..).map(Some)));
        for ((asked, number), outcome) in asked.zip(outcomes) {
            match became(&outcome, number) {
                Some(outcome) => {
                    if let Ok(number) = outcome {
                        self.next.store(number + 1, Ordering::Release);
                    }
                    asked.answer(outcome);
                }
                None => later.push(asked),
            }
        }
        later
    }

    /// The number of the next order, and the version of the stock that counts them. It is listed, if it is not.
    async fn counted(&self, door: &Door) -> Result<(u64, u64), Refused> {
        // The disk may have the last orders although their commit has failed. Their records must stay.
        if let Some(cause) = door.engine.commit_report().and_then(|report| report.failed) {
            return Err((&Refusal::ReadOnly { cause }).into());
        }
        let next = self.count();
        if let Some((counted, version)) = counted(&door.engine, &self.count) {
            return Ok((next.max(counted), version));
        }
        let request = Request::Set(self.count, count_is(next));
        let listed = Conditional { condition: Condition::Unlisted, request };
        match door.write(&Access::All, listed).await? {
            Reply::Listed(quote) => Ok((next, quote.version)),
            Reply::Refused(Refusal::AlreadyListed { version, .. }) => Ok((next, version)),
            Reply::Refused(refusal) => Err((&refusal).into()),
            _ => Err(overtaken()),
        }
    }

    async fn keep(&self, orders: Vec<Order>) -> Result<(), Refused> {
        if orders.is_empty() {
            return Ok(());
        }
        let records = Arc::clone(&self.records);
        let kept = tokio::task::spawn_blocking(move || records.keep(&orders)).await;
        let kept = kept.unwrap_or_else(|error| Err(error.to_string()));
        kept.map_err(|why| Refused::new(Problem::NotKept, why))
    }
}

/// What is to become of orders.
#[derive(Debug, Default)]
struct Plan {
    /// They will be refused, if their stocks are still like this.
    doomed: Vec<(Asked, Watched)>,
    /// They can be executed, one behind the other.
    going: Vec<Asked>,
    /// They can be, or not, when those before them were.
    later: Vec<Asked>,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.doomed.is_empty() && self.going.is_empty()
    }

    fn all(self) -> Vec<Asked> {
        let doomed = self.doomed.into_iter().map(|(asked, _)| asked);
        doomed.chain(self.going).chain(self.later).collect()
    }

    /// Plans by the stocks as they are.
    fn together(engine: &Engine, orders: Vec<Asked>) -> Plan {
        let mut plan = Plan::default();
        // The volumes that orders before have left.
        let mut left: HashMap<Symbol, Volume> = HashMap::new();
        for asked in orders {
            if let Some(volume) = left.get_mut(&asked.symbol) {
                match volume.after_trade(asked.shares) {
                    Some(after) => {
                        *volume = after;
                        plan.going.push(asked);
                    }
                    None => plan.later.push(asked),
                }
                continue;
            }
            let quote = engine.quote(&Access::All, &asked.symbol);
            let trading = quote.filter(|quote| quote.status == Status::Trading);
            let after = trading.and_then(|it| it.volume?.after_trade(asked.shares));
            match after {
                Some(after) => {
                    left.insert(asked.symbol, after);
                    plan.going.push(asked);
                }
                None => {
                    let is = quote.map_or(Condition::Unlisted, |it| Condition::Version(it.version));
                    let watched = (asked.symbol, is);
                    plan.doomed.push((asked, watched));
                }
            }
        }
        plan
    }
}

/// What became of an order that has this number if it was executed; `None` where it was not tried.
fn became(outcome: &Outcome, number: Option<u64>) -> Option<Result<u64, Refused>> {
    match outcome {
        Outcome::Conflict(_) => None,
        Outcome::Refused(refusal) => Some(Err(refusal.into())),
        Outcome::Executed { replies, .. } => match (&replies[..], number) {
            ([Reply::Refused(refusal), ..], _) => Some(Err(refusal.into())),
            ([_, Reply::Updated(_)], Some(number)) => Some(Ok(number)),
            // The count was there, so it could be updated; what was doomed was refused.
            _ => Some(Err(Refused::new(Problem::Uncertain, "the order has no number"))),
        },
    }
}

/// The number of the next order by the stock that counts them, and the version of that.
fn counted(engine: &Engine, count: &Symbol) -> Option<(u64, u64)> {
    let quote = engine.quote(&Access::All, count)?;
    Some((number_in(&quote), quote.version))
}

/// The number of the next order, which the quote of the stock that counts them has as its volume.
pub(crate) fn number_in(quote: &Quote) -> u64 {
    quote.volume.filter(|volume| volume.places() == 0).map_or(0, Volume::coefficient)
}

fn count_is(number: u64) -> Fields {
    let volume = Edit::Set(Volume::new(number));
    Fields { volume, status: Some(Status::Halted), ..Fields::default() }
}

fn refuse_all(orders: Vec<Asked>, refused: &Refused) -> Vec<Asked> {
    orders.into_iter().for_each(|asked| asked.answer(Err(refused.clone())));
    Vec::new()
}

fn overtaken() -> Refused {
    let detail = format!(
        "others have changed the stock, or {COUNT}, {ORDER_ATTEMPTS_MAX} times at the same moment; try again"
    );
    Refused::new(Problem::Busy, detail)
}
