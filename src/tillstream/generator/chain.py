"""The simulated chain: its stores, tills and opening hours, and how many receipts it issues by hour and weekday."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count, zip_longest
from random import Random

from tillstream.generator.products import FIRST_HOUR, LAST_HOUR
from tillstream.stores.model import Store, StoreList, parse_hours

SALES_PER_DAY = 115
"""The number of receipts per day at an average till. A real bakery had 230 receipts per day at two tills."""

CITY_SHARE = 0.25
SIZE_SPREAD = 0.35

TOWN_HOURS = (3.4, 12.4, 14.6, 17.6, 19.3, 15.6, 2.4, 0, 0, 3.4, 4.0, 4.1)
CITY_HOURS = (12, 14, 9, 6, 7, 14, 11, 3, 2, 7, 8, 7)
"""Relative numbers of receipts in the hours from 7 to 18. Stores in towns are closed from 14:00 to 16:00."""

WEEK = (0.91, 0.82, 0.87, 0.85, 0.92, 1.13, 1.50)
"""Relative numbers of receipts on the weekdays from Monday. The average is 1."""


@dataclass(frozen=True)
class Till:
    """A till. `size` is the relative size of its store, with an average of 1. `agent` is the id of the cashier."""

    store: str
    terminal: str
    agent: str
    size: float
    city: bool

    def share(self, hour: int) -> float:
        """Return the share of the till's daily receipts that fall into this hour of local time."""
        if not FIRST_HOUR <= hour <= LAST_HOUR:
            return 0.0
        hours = CITY_HOURS if self.city else TOWN_HOURS
        return hours[hour - FIRST_HOUR] / sum(hours)


class Chain:
    """Stores and tills with the ids `1`, `2`, … The same arguments always create the same stores.

    `tills` is the minimum and the maximum number of tills of a store.
    """

    def __init__(self, stores: int, tills: tuple[int, int], city_share: float = CITY_SHARE) -> None:
        self.tills: tuple[Till, ...] = tuple(
            till for store in range(1, stores + 1) for till in _tills_of(store, tills, city_share)
        )
        self._by_size = list(accumulate(till.size for till in self.tills))
        self._by_hour: dict[int, list[float]] = {}

    def _weights(self, hour: int) -> list[float]:
        if hour not in self._by_hour:
            self._by_hour[hour] = list(accumulate(till.size * till.share(hour) for till in self.tills))
        return self._by_hour[hour]

    def pick(self, random: Random) -> int:
        """Return the index of a random till. Tills of larger stores are more likely."""
        return bisect(self._by_size, random.random() * self._by_size[-1])

    def pick_at(self, random: Random, hour: int) -> int:
        """Return the index of a random till that is open in this hour of local time. At least one till must be open."""
        weights = self._weights(hour)
        return bisect(weights, random.random() * weights[-1])

    def expected_receipts(self, weekday: int, hour: int) -> float:
        """Return the expected number of receipts of the chain in an hour. Monday is weekday 0."""
        return SALES_PER_DAY * WEEK[weekday] * self._weights(hour)[-1]


def _tills_of(store: int, tills: tuple[int, int], city_share: float) -> list[Till]:
    random = Random(f"store {store}")
    size = random.lognormvariate(-(SIZE_SPREAD**2) / 2, SIZE_SPREAD)
    city = random.random() < city_share
    return [
        Till(str(store), str(terminal), str(10 * store + terminal), size, city)
        for terminal in range(1, random.randint(*tills) + 1)
    ]


CITY_OPENING_HOURS = parse_hours("07:00-19:00")
TOWN_OPENING_HOURS = parse_hours("07:00-14:00 16:00-19:00")
"""The opening hours in cities and in towns. They include every hour with receipts."""

ILE, BRETAGNE, LOIRE, NORD = "Île-de-France", "Bretagne", "Pays de la Loire", "Hauts-de-France"
RHONE, AQUITAINE, OCCITANIE, PACA = (
    "Auvergne-Rhône-Alpes",
    "Nouvelle-Aquitaine",
    "Occitanie",
    "Provence-Alpes-Côte d'Azur",
)
EST, NORMANDIE, CENTRE, BOURGOGNE = "Grand Est", "Normandie", "Centre-Val de Loire", "Bourgogne-Franche-Comté"

CITIES = (
    ("Paris", ILE, ("Opéra", "Bastille", "Batignolles", "Gobelins", "Belleville", "Passy")),
    ("Lyon", RHONE, ("Part-Dieu", "Bellecour", "Croix-Rousse", "Vaise", "Monplaisir")),
    ("Rennes", BRETAGNE, ("Sainte-Anne", "Colombier", "Villejean", "Thabor")),
    ("Lille", NORD, ("Flandres", "Wazemmes", "Vieux-Lille", "Vauban")),
    ("Bordeaux", AQUITAINE, ("Saint-Michel", "Chartrons", "Bastide", "Caudéran")),
    ("Nantes", LOIRE, ("Graslin", "Talensac", "Zola", "Doulon")),
    ("Toulouse", OCCITANIE, ("Capitole", "Carmes", "Saint-Cyprien", "Minimes")),
    ("Marseille", PACA, ("Castellane", "Vieux-Port", "Joliette", "Endoume")),
    ("Strasbourg", EST, ("Krutenau", "Neudorf", "Petite France", "Esplanade")),
    ("Montpellier", OCCITANIE, ("Comédie", "Beaux-Arts", "Antigone")),
    ("Nice", PACA, ("Libération", "Cimiez", "Riquier")),
    ("Dijon", BOURGOGNE, ("Darcy", "Wilson", "Toison d'Or")),
)
TOWNS = (
    ("Vannes", BRETAGNE), ("Annecy", RHONE), ("Chartres", CENTRE), ("Bayeux", NORMANDIE), ("Saumur", LOIRE),
    ("Colmar", EST), ("Arras", NORD), ("Bayonne", AQUITAINE), ("Albi", OCCITANIE), ("Beaune", BOURGOGNE),
    ("Cassis", PACA), ("Fontainebleau", ILE), ("Dinan", BRETAGNE), ("Aurillac", RHONE), ("Amboise", CENTRE),
    ("Honfleur", NORMANDIE), ("Cholet", LOIRE), ("Épernay", EST), ("Saint-Omer", NORD), ("Périgueux", AQUITAINE),
    ("Cahors", OCCITANIE), ("Auxerre", BOURGOGNE), ("Manosque", PACA), ("Provins", ILE), ("Quimper", BRETAGNE),
    ("Vienne", RHONE), ("Vendôme", CENTRE), ("Lisieux", NORMANDIE), ("Laval", LOIRE), ("Troyes", EST),
    ("Senlis", NORD), ("Saintes", AQUITAINE), ("Millau", OCCITANIE), ("Dole", BOURGOGNE), ("Fréjus", PACA),
    ("Rambouillet", ILE),
)  # fmt: skip
PLACES = (
    "Centre", "Gare", "Grande Rue", "Halles", "Mairie", "Vieux Marché", "Saint-Martin", "Saint-Jean", "Victor-Hugo",
    "Jean-Jaurès", "République", "Gambetta", "Pasteur", "Foch", "Leclerc", "Verdun", "Jardin Public", "Beffroi",
    "Remparts", "Moulin", "Fontaine", "Pont-Neuf", "Lycée", "Stade",
)  # fmt: skip


Site = tuple[str, str, str]
"""The name, city and region of a store."""


def store_list(chain: Chain) -> StoreList:
    """Return the list of stores. Their names are unique. A store has the same name in a chain with more stores."""
    tills = Counter(till.store for till in chain.tills)
    in_city = {till.store: till.city for till in chain.tills}
    cities, towns = _sites(_quarters()), _sites([(town, town, region) for town, region in TOWNS])
    shops = {}
    for store, city in in_city.items():
        name, town, region = next(cities if city else towns)
        hours = CITY_OPENING_HOURS if city else TOWN_OPENING_HOURS
        shops[store] = Store(store, name, town, region, tills=tills[store], hours=hours)
    return StoreList(shops)


def _quarters() -> list[Site]:
    """Return the first quarter of every city, then the second quarter of every city, and so on."""
    by_city = ([(f"{city} {quarter}", city, region) for quarter in quarters] for city, region, quarters in CITIES)
    return [site for sites in zip_longest(*by_city) for site in sites if site is not None]


def _sites(first: Sequence[Site]) -> Iterator[Site]:
    """Yield the given sites, and then an endless sequence of other sites in the same towns."""
    yield from first
    towns = dict.fromkeys((town, region) for _, town, region in first)
    for number in count(1):
        for place in PLACES:
            for town, region in towns:
                yield f"{town} {place}" + (f" {number}" if number > 1 else ""), town, region
