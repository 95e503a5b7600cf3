"""The chain on the map: what each of its shops is called, where it stands, when it is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, zip_longest

from tillstream.generator.chain import Chain
from tillstream.stores.model import Store, StoreList
from tillstream.stores.opening_hours import parse

CITY_HOURS = parse("07:00-19:00")
TOWN_HOURS = parse("07:00-14:00 16:00-19:00")
"""The hours in which `Chain` sells there."""

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
"""Name, city and region."""


def listed(chain: Chain) -> StoreList:
    """The list of the chain's shops. A shop is the same in a larger chain, and no two have one name."""
    tills = Counter(till.store for till in chain.tills)
    in_city = {till.store: till.city for till in chain.tills}
    cities, towns = _sites(_quarters()), _sites([(town, town, region) for town, region in TOWNS])
    shops = {}
    for store, city in in_city.items():
        name, town, region = next(cities if city else towns)
        hours = CITY_HOURS if city else TOWN_HOURS
        shops[store] = Store(store, name, town, region, tills=tills[store], hours=hours)
    return StoreList(shops)


def _quarters() -> list[Site]:
    """The first quarter of each city, then the second of each, and so on."""
    named = ([(f"{city} {quarter}", city, region) for quarter in quarters] for city, region, quarters in CITIES)
    return [site for each in zip_longest(*named) for site in each if site is not None]


def _sites(first: Sequence[Site]) -> Iterator[Site]:
    """Sites without end: these, then the places of their towns, then the same with numbers."""
    yield from first
    towns = dict.fromkeys((town, region) for _, town, region in first)
    for number in count(1):
        for place in PLACES:
            for town, region in towns:
                yield f"{town} {place}" + (f" {number}" if number > 1 else ""), town, region
