"""The products of the simulated bakeries: prices, VAT rates, and demand by hour and day.

Prices and popularity are based on 136,451 receipts that a French bakery issued in 2021 and 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import accumulate

CATEGORIES = (
    "Boisson",
    "Menu",
    "Sandwich Froid",
    "Viennoiserie",
    "Pain",
    "Sandwich Chaud",
    "Pizza",
    "Patisserie",
    "Confiserie",
)

FIRST_HOUR = 7
LAST_HOUR = 18
"""The first and the last hour with sales, in local time. The shops close at 19:00."""


class Day(Enum):
    """A day type. Demand differs between weekdays, Saturdays and Sundays."""

    WEEKDAY = 0
    SATURDAY = 1
    SUNDAY = 2

    @classmethod
    def of(cls, weekday: int) -> Day:
        """Return the day type of a weekday. Monday is 0."""
        return cls(max(0, weekday - 4))


@dataclass(frozen=True)
class DemandProfile:
    """How demand for a product varies. `hours` has a factor for each hour from 7 to 18, `days` for each day type."""

    hours: tuple[float, ...]
    days: tuple[float, float, float]
    quantities: tuple[float, ...]
    """The relative probabilities of buying 1, 2, 3, … pieces."""


BREAD = DemandProfile((1, 1, 1, 1, 1.1, 1.1, 0.8, 0.8, 0.8, 1.1, 1.3, 1.4), (1, 1, 0.95), (61, 29, 6, 3, 0.5, 0.5))
SPECIAL = DemandProfile(BREAD.hours, (0.9, 1.2, 1.3), (93, 6, 1))
BREAKFAST = DemandProfile(
    (2.6, 2.2, 1.7, 1.2, 0.6, 0.3, 0.3, 0.5, 0.8, 1.2, 0.8, 0.4), (0.85, 1.15, 1.6), (34, 34, 11, 13, 3, 5)
)
LUNCH = DemandProfile((0.05, 0.05, 0.1, 0.3, 1.2, 2.4, 3, 1.2, 0.4, 0.3, 0.3, 0.4), (1.2, 0.8, 0.4), (88, 11, 1))
MENU = DemandProfile((0, 0, 0, 0, 0.8, 2.4, 2.5, 0, 0, 0, 0, 0), (1.4, 0, 0), (86, 13, 1))
DESSERT = DemandProfile((0.3, 0.4, 0.7, 1.1, 1.4, 1.2, 1, 0.9, 1, 1.3, 1, 0.7), (0.8, 1.2, 1.7), (54, 27, 7, 9, 1, 2))
CAKE = DemandProfile(DESSERT.hours, DESSERT.days, (97, 3))
DRINK = DemandProfile((1, 1, 0.8, 0.8, 0.9, 1.8, 2.2, 1.3, 1.2, 1.2, 0.9, 0.6), (1.1, 0.9, 0.7), (80, 18, 2))
SWEET = DemandProfile((0.3, 0.3, 0.5, 0.8, 0.8, 0.7, 0.8, 1, 1.5, 3, 2.5, 1), (1, 1, 0.8), (55, 22, 10, 8, 5))


@dataclass(frozen=True)
class Product:
    """A product. VAT rates are in per mille.

    `price` is in cents with VAT, for a piece or a kilogram. `popularity` is the relative probability that a
    customer chooses the product, before the factors of `demand_profile` are applied. `vat_on_site` is the VAT rate if
    the customer eats in the shop, or 0 if `vat` applies there too.
    """

    code: str
    name: str
    category: str
    price: int
    popularity: float
    demand_profile: DemandProfile
    vat: int = 55
    vat_on_site: int = 0
    weighed: bool = False
    sliced: bool = False

    def demand(self, day: Day, hour: int) -> float:
        """Return the relative probability that a customer chooses the product in this hour."""
        return self.popularity * self.demand_profile.hours[hour - FIRST_HOUR] * self.demand_profile.days[day.value]

    def vat_rate(self, on_site: bool) -> int:
        return self.vat_on_site if on_site and self.vat_on_site else self.vat


TRADITIONAL = Product("00000010", "Baguette tradition", "Pain", 125, 34, BREAD)
CROISSANT = Product("00000020", "Croissant", "Viennoiserie", 120, 5.0, BREAKFAST, vat_on_site=100)
PAIN_AU_CHOCOLAT = Product("00000021", "Pain au chocolat", "Viennoiserie", 130, 2.1, BREAKFAST, vat_on_site=100)
SLICING = Product("00000019", "Coupe", "Pain", 15, 0, BREAD)
GIFT = Product("00000018", "Baguette offerte", "Pain", 0, 0, BREAD)
CAN = Product("00000050", "Boisson 33cl", "Boisson", 150, 2.7, DRINK)

PRODUCTS = (
    TRADITIONAL,
    Product("00000011", "Baguette", "Pain", 100, 6.1, BREAD),
    Product("00000012", "Banette", "Pain", 115, 6.3, BREAD),
    Product("00000013", "Pain special", "Pain", 250, 2.3, SPECIAL, sliced=True),
    Product("00000014", "Campagne", "Pain", 210, 3.6, SPECIAL, sliced=True),
    Product("00000015", "Boule 400g", "Pain", 160, 4.4, SPECIAL, sliced=True),
    Product("00000024", "Baguette cereales", "Pain", 135, 4.3, BREAD),
    Product("00000016", "Ficelle", "Pain", 70, 2.9, BREAD),
    Product("00000017", "Pain au poids", "Pain", 690, 1.2, SPECIAL, weighed=True, sliced=True),
    CROISSANT,
    PAIN_AU_CHOCOLAT,
    Product("00000022", "Pain aux raisins", "Viennoiserie", 160, 1.2, BREAKFAST, vat_on_site=100),
    Product("00000023", "Chausson aux pommes", "Viennoiserie", 190, 0.85, BREAKFAST, vat_on_site=100),
    Product("00000025", "Brioche", "Viennoiserie", 520, 0.3, BREAKFAST),
    Product("00000030", "Formule sandwich", "Menu", 830, 3.0, MENU, vat=100),
    Product("00000031", "Formule salade", "Menu", 990, 0.7, MENU, vat=100),
    Product("00000032", "Jambon beurre", "Sandwich Froid", 450, 1.2, LUNCH, vat=100),
    Product("00000033", "Poulet crudites", "Sandwich Froid", 520, 0.5, LUNCH, vat=100),
    Product("00000034", "Panini", "Sandwich Chaud", 560, 0.6, LUNCH, vat=100),
    Product("00000035", "Croque monsieur", "Sandwich Chaud", 480, 0.6, LUNCH, vat=100),
    Product("00000036", "Quiche", "Sandwich Chaud", 390, 1.3, LUNCH, vat=100),
    Product("00000037", "Part de pizza", "Pizza", 360, 1.3, LUNCH, vat=100),
    Product("00000038", "Pizza au poids", "Pizza", 1890, 0.4, LUNCH, vat=100, weighed=True),
    Product("00000040", "Eclair", "Patisserie", 250, 1.5, DESSERT, vat_on_site=100),
    Product("00000041", "Tartelette", "Patisserie", 310, 1.2, DESSERT, vat_on_site=100),
    Product("00000042", "Flan", "Patisserie", 230, 1.2, DESSERT, vat_on_site=100),
    Product("00000043", "Millefeuille", "Patisserie", 340, 0.6, DESSERT, vat_on_site=100),
    Product("00000044", "Tarte aux fruits 6P", "Patisserie", 1350, 0.25, CAKE),
    Product("00000045", "Gateau 8P", "Patisserie", 2200, 0.12, CAKE),
    Product("00000046", "Cookie", "Patisserie", 180, 1.3, DESSERT, vat_on_site=100),
    CAN,
    Product("00000051", "Cafe", "Boisson", 150, 2.6, DRINK, vat=100),
    Product("00000052", "Eau 50cl", "Boisson", 100, 1.6, DRINK),
    Product("00000053", "Jus d'orange presse", "Boisson", 280, 0.5, DRINK, vat=100),
    Product("00000054", "Biere 33cl", "Boisson", 350, 0.18, DRINK, vat=200),
    Product("00000060", "Sachet de bonbons", "Confiserie", 250, 0.6, SWEET, vat=200),
    Product("00000061", "Sucette", "Confiserie", 30, 1.8, SWEET, vat=200),
    Product("00000062", "Chocolats au poids", "Confiserie", 5200, 0.15, SWEET, vat=200, weighed=True),
)


@cache
def demand(day: Day, hour: int) -> tuple[float, ...]:
    """Return the cumulative demand for all products in an hour, in the order of `PRODUCTS`."""
    return tuple(accumulate(product.demand(day, hour) for product in PRODUCTS))
