//! One order on its way from the cart to the cash, and what each step of it says.
//!
//! ```text
//! placed ─ authorized ─ confirmed ─ picked ─ packed ─ dispatched ─ (hub)* ─ delivered ─ invoiced ─ captured ─ closed
//!    │         │                                                                                      │
//!    └ declined┴── cancelled                                                 return requested ─ received ─ refunded
//! ```

use super::dice::Dice;

/// What happens next to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Placed,
    Declined,
    Cancelled,
    Authorized,
    Confirmed,
    Picked,
    Packed,
    Dispatched,
    AtHub,
    Delivered,
    Invoiced,
    Captured,
    ReturnRequested,
    ReturnReceived,
    Refunded,
    Closed,
}

/// What an event of a [`Step`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Order,
    Payment,
    Shipment,
    Invoice,
}

impl About {
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            About::Order => "order",
            About::Payment => "payment",
            About::Shipment => "shipment",
            About::Invoice => "invoice",
        }
    }
}

const MINUTE: u64 = 60_000_000;
const HOUR: u64 = 60 * MINUTE;

impl Step {
    /// The event's subject and type.
    pub(crate) const fn event(self) -> (About, &'static str) {
        match self {
            Step::Placed => (About::Order, "order.placed"),
            Step::Declined => (About::Payment, "payment.declined"),
            Step::Cancelled => (About::Order, "order.cancelled"),
            Step::Authorized => (About::Payment, "payment.authorized"),
            Step::Confirmed => (About::Order, "order.confirmed"),
            Step::Picked => (About::Order, "order.picked"),
            Step::Packed => (About::Order, "order.packed"),
            Step::Dispatched => (About::Shipment, "shipment.dispatched"),
            Step::AtHub => (About::Shipment, "shipment.arrived_at_hub"),
            Step::Delivered => (About::Shipment, "shipment.delivered"),
            Step::Invoiced => (About::Invoice, "invoice.issued"),
            Step::Captured => (About::Payment, "payment.captured"),
            Step::ReturnRequested => (About::Order, "order.return_requested"),
            Step::ReturnReceived => (About::Order, "order.return_received"),
            Step::Refunded => (About::Payment, "payment.refunded"),
            Step::Closed => (About::Order, "order.closed"),
        }
    }

    /// Who did it.
    pub(crate) const fn actor(self) -> &'static str {
        match self {
            Step::Placed | Step::ReturnRequested => "web-shop",
            Step::Declined | Step::Authorized | Step::Captured | Step::Refunded => "payments",
            Step::Picked | Step::Packed | Step::ReturnReceived => "warehouse",
            Step::Dispatched | Step::AtHub | Step::Delivered => "carrier",
            Step::Invoiced | Step::Closed => "billing",
            Step::Confirmed | Step::Cancelled => "order-desk",
        }
    }

    /// What follows and after how many microseconds; `None` at the end of the way.
    pub(crate) fn next(self, dice: &mut Dice) -> Option<(Step, u64)> {
        let (step, low, high) = match self {
            Step::Placed if dice.percent(4) => (Step::Declined, MINUTE, 3 * MINUTE),
            Step::Placed => (Step::Authorized, MINUTE / 30, 2 * MINUTE),
            Step::Declined if dice.percent(60) => (Step::Authorized, 5 * MINUTE, 3 * HOUR),
            Step::Declined => (Step::Cancelled, 24 * HOUR, 72 * HOUR),
            Step::Authorized if dice.percent(2) => (Step::Cancelled, MINUTE, 2 * HOUR),
            Step::Authorized => (Step::Confirmed, MINUTE / 60, MINUTE),
            Step::Confirmed => (Step::Picked, 20 * MINUTE, 20 * HOUR),
            Step::Picked => (Step::Packed, 3 * MINUTE, 40 * MINUTE),
            Step::Packed => (Step::Dispatched, 30 * MINUTE, 8 * HOUR),
            Step::Dispatched => (Step::AtHub, 2 * HOUR, 14 * HOUR),
            Step::AtHub if dice.percent(45) => (Step::AtHub, 4 * HOUR, 20 * HOUR),
            Step::AtHub => (Step::Delivered, HOUR, 10 * HOUR),
            Step::Delivered => (Step::Invoiced, MINUTE, 30 * MINUTE),
            Step::Invoiced => (Step::Captured, MINUTE, 48 * HOUR),
            Step::Captured if dice.percent(6) => (Step::ReturnRequested, 12 * HOUR, 240 * HOUR),
            Step::Captured | Step::Refunded => (Step::Closed, HOUR, 24 * HOUR),
            Step::ReturnRequested => (Step::ReturnReceived, 24 * HOUR, 160 * HOUR),
            Step::ReturnReceived => (Step::Refunded, HOUR, 50 * HOUR),
            Step::Cancelled | Step::Closed => return None,
        };
        Some((step, dice.between(low, high)))
    }
}

/// What was bought by whom.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) number: u64,
    pub(crate) customer: u64,
    pub(crate) region: &'static str,
    pub(crate) currency: &'static str,
    lines: Vec<Line>,
    hubs: u64,
}

#[derive(Clone, Debug)]
struct Line {
    sku: u64,
    quantity: u64,
    price_cents: u64,
}

/// Customers there are; a few of them buy most.
const CUSTOMERS: u64 = 5000;

const REGIONS: [(&str, &str); 4] =
    [("eu-north", "EUR"), ("eu-south", "EUR"), ("uk", "GBP"), ("us-east", "USD")];

const HUBS: [&str; 6] = ["HAM", "LEJ", "MXP", "LHR", "EWR", "ORY"];

impl Order {
    pub(crate) fn new(number: u64, dice: &mut Dice) -> Self {
        // The square of an even draw: a tenth of the customers place a third of the orders.
        let draw = dice.below(CUSTOMERS);
        let customer = draw * draw / CUSTOMERS;
        let (region, currency) = REGIONS[(customer % REGIONS.len() as u64) as usize];
        let lines = (0..dice.between(1, 4)).map(|_| Line::new(dice)).collect();
        Self { number, customer, region, currency, lines, hubs: 0 }
    }

    pub(crate) fn entity(&self, about: About) -> String {
        format!("{}-{{c{:04}}}-{}", about.prefix(), self.customer, self.number)
    }

    fn total_cents(&self) -> u64 {
        self.lines.iter().map(|line| line.quantity * line.price_cents).sum()
    }

    /// The event's JSON. A merge patch, so that folding an entity's events gives its state. All of it is ours and
    /// needs no escaping.
    pub(crate) fn payload(&mut self, step: Step, dice: &mut Dice) -> String {
        let (total, currency) = (self.total_cents(), self.currency);
        match step {
            Step::Placed => self.placed(),
            Step::Declined => {
                let reason = dice.pick(&["insufficient_funds", "expired_card", "suspected_fraud"]);
                format!(
                    r#"{{"status":"declined","amount_cents":{total},"currency":"{currency}","reason":"{reason}"}}"#
                )
            }
            Step::Cancelled => r#"{"status":"cancelled","cancelled_by":"order-desk"}"#.to_owned(),
            Step::Authorized => format!(
                r#"{{"status":"authorized","amount_cents":{total},"currency":"{currency}","reason":null,"authorization":"A{:08}"}}"#,
                dice.below(100_000_000)
            ),
            Step::Confirmed => format!(r#"{{"status":"confirmed","promised_days":{}}}"#, dice.between(2, 6)),
            Step::Picked => format!(r#"{{"status":"picked","picker":"p{:02}"}}"#, dice.below(60)),
            Step::Packed => {
                format!(r#"{{"status":"packed","parcels":1,"weight_grams":{}}}"#, dice.between(200, 20_000))
            }
            Step::Dispatched => format!(
                r#"{{"status":"dispatched","order":{},"carrier":"{}","tracking":"T{:012}"}}"#,
                self.number,
                dice.pick(&["northpost", "quickship", "parcelline"]),
                dice.below(1_000_000_000_000)
            ),
            Step::AtHub => {
                self.hubs += 1;
                format!(r#"{{"status":"in_transit","hub":"{}","hubs":{}}}"#, dice.pick(&HUBS), self.hubs)
            }
            Step::Delivered => format!(
                r#"{{"status":"delivered","left_with":"{}"}}"#,
                dice.pick(&["recipient", "neighbour", "locker", "porch"])
            ),
            Step::Invoiced => format!(
                r#"{{"status":"issued","order":{},"total_cents":{total},"currency":"{currency}","due_days":14}}"#,
                self.number
            ),
            Step::Captured => format!(r#"{{"status":"captured","captured_cents":{total}}}"#),
            Step::ReturnRequested => format!(
                r#"{{"status":"return_requested","return_reason":"{}"}}"#,
                dice.pick(&["too_small", "damaged", "not_as_described", "changed_mind"])
            ),
            Step::ReturnReceived => r#"{"status":"returned","condition":"resellable"}"#.to_owned(),
            Step::Refunded => format!(r#"{{"status":"refunded","refunded_cents":{total}}}"#),
            Step::Closed => r#"{"status":"closed"}"#.to_owned(),
        }
    }

    fn placed(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(Line::json).collect();
        format!(
            r#"{{"status":"placed","order":{},"customer":"c{:04}","currency":"{}","lines":[{}],"total_cents":{}}}"#,
            self.number,
            self.customer,
            self.currency,
            lines.join(","),
            self.total_cents()
        )
    }
}

impl Line {
    fn new(dice: &mut Dice) -> Self {
        let sku = dice.below(2000);
        // An article costs the same whoever buys it.
        Self { sku, quantity: dice.between(1, 3), price_cents: 199 + sku * 7919 % 24_000 }
    }

    fn json(&self) -> String {
        format!(
            r#"{{"sku":"SKU-{:04}","quantity":{},"price_cents":{}}}"#,
            self.sku, self.quantity, self.price_cents
        )
    }
}
