//! What a story does to processes, and to what lies between them.

use abide_replica::journal::Recovered;
use abide_replica::{Birth, Config, Event, Letter, Node};

use super::{World, id_of};
use crate::runner::Step;
use crate::runner::roads::Road;
use crate::runner::words;

impl World {
    pub(crate) fn start(&mut self, names: &[&str]) -> Step {
        self.has_begun = true;
        let places = names.iter().map(|name| self.place(name)).collect::<Step<Vec<_>>>()?;
        for place in places {
            let (moment, list) = (self.moment(), self.list_for(place));
            let machine = &mut self.machines[place];
            if machine.node.is_some() {
                return Err(format!("{} runs already", machine.name));
            }
            let recovered = machine.disk.as_ref().map(|disk| {
                let mut recovered = Recovered::default();
                for content in disk {
                    recovered.take(content).expect("it is of this version");
                }
                recovered
            });
            machine.birth = Birth(moment.wall.as_millis().max(machine.birth.0 + 1));
            machine.is_paused = false;
            let mut config = Config::new(list, id_of(place), machine.birth);
            config.slots = self.slots.last().map_or(0, |slot| slot.number() + 1);
            config.copies = self.copies.unwrap_or(config.copies);
            #[cfg(feature = "mutants")]
            {
                config.mutant = self.mutant;
            }
            machine.node = Some(match recovered {
                Some(recovered) => Node::restored(config, recovered, moment),
                None => Node::new(config, moment),
            });
            self.events.push_back((place, Event::Woken));
        }
        self.settle()
    }

    pub(crate) fn kill(&mut self, name: &str) -> Step {
        self.node(name)?;
        let place = self.place(name)?;
        self.machines[place].node = None;
        self.machines[place].held_back.clear();
        let calls = self.calls.remove(&place).unwrap_or_default();
        let lost: Vec<u64> =
            calls.into_iter().filter(|number| !self.is_answered(*number)).collect();
        self.lost.extend(lost);
        for peer in 0..self.machines.len() {
            if !self.roads.disconnect(place, peer) {
                continue;
            }
            if self.roads.is_cut((place, peer)) {
                self.roads.does_not_hear_of((peer, place));
            } else {
                self.events.push_back((peer, Event::Broken(id_of(place))));
            }
        }
        self.settle()
    }

    pub(crate) fn pause(&mut self, name: &str) -> Step {
        self.node(name)?;
        let place = self.place(name)?;
        self.machines[place].is_paused = true;
        Ok(())
    }

    pub(crate) fn resume(&mut self, name: &str) -> Step {
        self.node(name)?;
        let place = self.place(name)?;
        let machine = &mut self.machines[place];
        machine.is_paused = false;
        let events = std::mem::take(&mut machine.held_back);
        self.events.extend(events.into_iter().map(|event| (place, event)));
        self.events.push_back((place, Event::Woken));
        self.settle()
    }

    pub(crate) fn accept(&mut self, name: &str, accepts: bool) -> Step {
        let place = self.place(name)?;
        self.machines[place].refuses = !accepts;
        Ok(())
    }

    pub(crate) fn event(&mut self, name: &str, event: Event) -> Step {
        self.node(name)?;
        self.events.push_back((self.place(name)?, event));
        self.settle()
    }

    fn road(&self, from: &str, to: &str) -> Step<Road> {
        Ok((self.place(from)?, self.place(to)?))
    }

    pub(crate) fn sever(&mut self, one: &str, other: &str) -> Step {
        let (one, other) = self.road(one, other)?;
        if !self.roads.disconnect(one, other) {
            return Err("there is no connection".to_owned());
        }
        self.events.push_back((one, Event::Broken(id_of(other))));
        self.events.push_back((other, Event::Broken(id_of(one))));
        self.settle()
    }

    pub(crate) fn cut(&mut self, left: &[&str], right: &[&str], is_both_ways: bool) -> Step {
        for from in left {
            for to in right {
                let (from, to) = self.road(from, to)?;
                self.roads.cut((from, to));
                if is_both_ways {
                    self.roads.cut((to, from));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn heal(&mut self) -> Step {
        let (unaware, arriving) = self.roads.heal();
        for (place, gone) in unaware {
            self.events.push_back((place, Event::Broken(id_of(gone))));
        }
        for road in arriving {
            self.deliver_all(road);
        }
        self.settle()
    }

    pub(crate) fn hold(&mut self, from: &str, to: &str) -> Step {
        let road = self.road(from, to)?;
        self.roads.hold(road);
        Ok(())
    }

    pub(crate) fn release(&mut self, from: &str, to: &str) -> Step {
        let road = self.road(from, to)?;
        self.roads.release(road);
        if !self.roads.is_cut(road) {
            self.deliver_all(road);
        }
        self.settle()
    }

    /// Letters that waited arrive: all, or those up to the first of this kind.
    pub(crate) fn deliver(&mut self, from: &str, to: &str, up_to: Option<&str>) -> Step {
        let road = self.road(from, to)?;
        let Some(kind) = up_to else {
            self.deliver_all(road);
            return self.settle();
        };
        let is_last =
            |letter: &Letter| words::kind(&letter.message) == kind && self.is_told(&letter.message);
        let at = self.roads.letters(road).position(is_last);
        for _ in 0..=at.ok_or_else(|| format!("no {kind} waits between {from} and {to}"))? {
            if let Some(letter) = self.roads.next(road) {
                self.arrive(road, letter);
                self.settle()?;
            }
        }
        Ok(())
    }

    fn deliver_all(&mut self, road: Road) {
        while let Some(letter) = self.roads.next(road) {
            self.arrive(road, letter);
        }
    }
}
