//! Links: rules of the kernel's filter in each node's namespace, its shaper, and the switch in this process.

use std::time::Duration;

use chronos_env::Entropy;
use chronos_inject::{Episode, Peer, Quality};

use super::{Outcome, Part, STEP, Striker, heal, peer};
use crate::attack::cluster::{Cluster, Seat};
use crate::plan::{Direction, Fault};

impl Striker {
    /// The other nodes, without the host: clients still reach everybody.
    fn others(&self, than: Seat) -> Vec<Peer> {
        self.cluster.all().into_iter().filter(|seat| *seat != than).map(peer).collect()
    }

    fn cut_off(
        &self,
        seats: &[Seat],
        direction: Direction,
    ) -> impl FnOnce(&chronos_inject::Ground) -> chronos_inject::Result<Episode> + Send + 'static {
        let ways: Vec<(Peer, Vec<Peer>)> =
            seats.iter().map(|seat| (peer(*seat), self.others(*seat))).collect();
        move |ground| {
            let links = ground.links()?;
            let part = |(victim, others): &(Peer, Vec<Peer>)| match direction {
                Direction::Both => links.partition(&[*victim], others),
                Direction::In => links.partition_one_way(others, &[*victim]),
                Direction::Out => links.partition_one_way(&[*victim], others),
            };
            let parted = ways.iter().map(part).collect::<chronos_inject::Result<Vec<_>>>()?;
            Ok(Episode::all("nodes are cut off", parted))
        }
    }

    pub(super) async fn isolate(&self, seats: &[Seat], direction: Direction, lasts: Duration) -> Outcome {
        self.during(lasts, self.cut_off(seats, direction)).await
    }

    pub(super) async fn bridge(&self, bridge: Seat, lasts: Duration, dice: &Entropy) -> Outcome {
        let mut dice = super::dice_of(dice);
        self.during(lasts, move |ground| ground.links()?.bridge(peer(bridge), &mut dice)).await
    }

    pub(super) async fn swizzle(&self, lasts: Duration, dice: &Entropy) -> Outcome {
        let seats = self.cluster.all();
        let pause = lasts / (2 * seats.len() as u32);
        let mut clogged = Vec::new();
        for seat in seats {
            clogged.push(self.hands(self.cut_off(&[seat], Direction::Both)).await?);
            self.wait(pause).await;
        }
        while !clogged.is_empty() {
            let next = clogged.swap_remove(dice.below(clogged.len() as u64) as usize);
            heal(next).await?;
            self.wait(pause).await;
        }
        Ok(())
    }

    /// All of the harness is on one machine: it, too, reaches only the victim.
    pub(super) async fn only_way_in(&self, victim: Seat, lasts: Duration) -> Outcome {
        let others = self.others(victim);
        self.during(lasts, move |ground| ground.links()?.partition(&[Peer::Host], &others)).await
    }

    pub(super) async fn lose(&self, seats: &[Seat], per_mille: u16, lasts: Duration) -> Outcome {
        let ways: Vec<_> = seats.iter().map(|seat| (peer(*seat), self.others(*seat))).collect();
        self.during(lasts, move |ground| {
            let links = ground.links()?;
            let mut lossy = Vec::new();
            for (victim, others) in &ways {
                lossy.push(links.lose(&[*victim], others, per_mille)?);
                lossy.push(links.lose(others, &[*victim], per_mille)?);
            }
            Ok(Episode::all("packets are lost", lossy))
        })
        .await
    }

    pub(super) async fn trickle(&self, seats: &[Seat], bytes_per_second: u64, lasts: Duration) -> Outcome {
        let _turn = self.turn(Part::Wire, seats).await;
        let victims: Vec<Peer> = seats.iter().copied().map(peer).collect();
        self.during(lasts, move |ground| {
            let links = ground.links()?;
            let slow = victims.iter().map(|victim| links.slow(*victim, 8 * bytes_per_second));
            Ok(Episode::all("links are slow", slow.collect::<chronos_inject::Result<_>>()?))
        })
        .await
    }

    pub(super) async fn wedge(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        let ways: Vec<_> = seats.iter().map(|seat| (peer(*seat), self.others(*seat))).collect();
        self.during(lasts, move |ground| {
            let links = ground.links()?;
            let pairs =
                ways.iter().flat_map(|(victim, others)| others.iter().map(move |other| (*victim, *other)));
            let silent = pairs.map(|(victim, other)| links.wedge(victim, other));
            Ok(Episode::all("connections are silent", silent.collect::<chronos_inject::Result<_>>()?))
        })
        .await
    }

    pub(super) async fn reset_again_and_again(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        let end = self.now() + lasts;
        while self.now() < end {
            let ways: Vec<_> = seats.iter().map(|seat| (peer(*seat), self.others(*seat))).collect();
            self.during(STEP / 4, move |ground| {
                let links = ground.links()?;
                let reset = ways.iter().map(|(victim, others)| links.reset(&[*victim], others));
                Ok(Episode::all("connections are reset", reset.collect::<chronos_inject::Result<_>>()?))
            })
            .await?;
            self.wait(STEP).await;
        }
        Ok(())
    }

    pub(super) async fn flap(&self, seats: &[Seat], lasts: Duration, dice: &Entropy) -> Outcome {
        let end = self.now() + lasts;
        while self.now() < end {
            self.isolate(seats, Direction::Both, Duration::from_millis(50 + dice.below(300))).await?;
            self.wait(STEP).await;
        }
        Ok(())
    }

    /// What only the switch can do.
    pub(super) async fn worsen(&self, fault: &Fault, seats: &[Seat], lasts: Duration) -> Outcome {
        let millis = Duration::from_millis;
        let quality = match fault {
            Fault::Delay { min_ms, max_ms, .. } => Quality {
                delay: millis(*min_ms),
                jitter: millis(max_ms.saturating_sub(*min_ms)),
                ..Quality::default()
            },
            Fault::Duplicate { per_mille, lag_ms, .. } => Quality {
                duplicate_per_mille: *per_mille,
                duplicate_lag: millis(*lag_ms),
                ..Quality::default()
            },
            Fault::Reorder { per_mille, lag_ms, .. } => {
                Quality { reorder_per_mille: *per_mille, reorder_lag: millis(*lag_ms), ..Quality::default() }
            }
            Fault::Corrupt { per_mille, .. } => {
                Quality { corrupt_per_mille: *per_mille, ..Quality::default() }
            }
            other => unreachable!("{} is nothing that a switch does", other.kind()),
        };
        // A way between two nodes belongs to both.
        let _turn = self.turn(Part::Wire, &self.cluster.all()).await;
        let victims: Vec<Peer> = seats.iter().copied().map(peer).collect();
        let nodes: Vec<Peer> = self.cluster.all().into_iter().map(peer).collect();
        self.during(lasts, move |ground| {
            let switch = ground.switch()?;
            let rest: Vec<Peer> = nodes.iter().filter(|node| !victims.contains(node)).copied().collect();
            let ways = [(&victims, &rest), (&rest, &victims), (&victims, &victims)];
            let worse = ways.map(|(from, to)| switch.worsen(from, to, quality));
            Ok(Episode::all("links are worse", worse.into_iter().collect::<chronos_inject::Result<_>>()?))
        })
        .await
    }
}
