//! Asking for an entity's state.

use bytes::Bytes;
use chronos_domain::{EntityId, Invalid, Timestamp, Token, Version, place};
use chronos_proto::{Consistency, Moment, Reducer, v1};

use crate::client::{Inner, TENANT};
use crate::outcome::ReadError;
use crate::routing::Aim;

/// Which state.
///
/// ```
/// use chronos_client::{Moment, Reducer, State, Version};
///
/// State::of("order-1").as_of(Moment::Version(Version::new(3))).reducer(Reducer::Last);
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is asked before it is given to a client"]
pub struct State {
    entity_id: String,
    as_of: Option<Moment>,
    occurred_until: Option<Timestamp>,
    reducer: Reducer,
    consistency: Option<Consistency>,
}

impl State {
    /// The present state of an entity: its payloads merged (RFC 7396).
    pub fn of(entity_id: impl Into<String>) -> Self {
        Self {
            entity_id: entity_id.into(),
            as_of: None,
            occurred_until: None,
            reducer: Reducer::default(),
            consistency: None,
        }
    }

    /// At a moment of the past.
    pub fn as_of(mut self, moment: Moment) -> Self {
        self.as_of = Some(moment);
        self
    }

    /// Only of events that happened (or, where they do not say, were recorded) until then.
    pub const fn occurred_until(mut self, time: Timestamp) -> Self {
        self.occurred_until = Some(time);
        self
    }

    /// By another fold.
    pub const fn reducer(mut self, reducer: Reducer) -> Self {
        self.reducer = reducer;
        self
    }

    /// How fresh. Linearizable unless this says otherwise.
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = Some(consistency);
        self
    }

    pub(crate) async fn ask(self, client: &Inner) -> Result<EntityState, ReadError> {
        let partition = place(TENANT, EntityId::parse(&self.entity_id)?.as_str());
        let aim = match &self.consistency {
            None | Some(Consistency::Linearizable) => Aim::Newest(partition),
            Some(Consistency::AtLeast(_) | Consistency::Local) => Aim::Replica(partition),
        };
        let request = v1::GetStateRequest {
            entity_id: self.entity_id,
            as_of: self.as_of.map(v1::AsOf::from),
            occurred_until: self.occurred_until.map(Timestamp::get),
            reducer: self.reducer.to_wire(),
            consistency: self.consistency.map(v1::Consistency::from),
        };
        let ask = |mut rpc: crate::connections::Rpc| {
            let request = request.clone();
            async move { rpc.get_state(request).await }
        };
        let answer = client.call(aim, ask).await?;
        EntityState::try_from(answer).map_err(|invalid| ReadError::protocol(&invalid))
    }
}

/// A folded entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityState {
    /// The last version folded; 0 when there was none in that view.
    pub version: Version,
    /// How many events were folded.
    pub events: u64,
    /// The result as JSON text.
    pub json: Bytes,
    /// The past that was folded: as of this token the state is the same for ever, unless the entity is truncated.
    pub token: Token,
    /// The version before which the entity's events have been erased, and are not folded; 0 when none have.
    pub truncated_before: Version,
}

impl TryFrom<v1::GetStateResponse> for EntityState {
    type Error = Invalid;

    fn try_from(response: v1::GetStateResponse) -> Result<Self, Invalid> {
        Ok(Self {
            version: Version::new(response.version),
            events: response.events,
            json: response.state,
            token: Token::parse(&response.token)?,
            truncated_before: Version::new(response.truncated_before),
        })
    }
}
