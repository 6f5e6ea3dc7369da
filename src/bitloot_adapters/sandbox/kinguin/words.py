"""The vocabulary from which the invented catalogue is put together."""

ADJECTIVES = (
    "Silent", "Crimson", "Forgotten", "Iron", "Neon", "Hollow", "Ævar's", "Endless", "Frozen",
    "Broken", "Golden", "Midnight", "Über", "Distant", "Savage", "Sacred", "Rusted", "Electric",
    "Obsidian", "Wandering", "Lost", "Emerald", "Señor", "Fallen", "Velvet", "Lunar", "Rebel",
    "Phantom", "Solar", "Tiny",
)  # fmt: skip
NOUNS = (
    "Harbour", "Citadel", "Odyssey", "Frontier", "Kingdoms", "Protocol", "Requiem", "Gardens",
    "Colony", "Dynasty", "Raiders", "Horizon", "Labyrinth", "Legacy", "Outpost", "Voyage",
    "Świt", "Arena", "Tactics", "Chronicle", "Depths", "Railways", "Empire", "Drift", "Signal",
    "Expanse", "Guild", "Monastère", "Sanctuary", "Uprising",
)  # fmt: skip
SUFFIXES = ("", "", "", " II", " III", ": Remastered", ": Reborn", " 2084", " & Beyond", " Zero")
EDITIONS = ("", "", "", " Deluxe Edition", " Gold Edition", " GOTY", " Complete Bundle")
EXPANSIONS = ("Season Pass", "The Long Winter", "Skins Pack", "Soundtrack", "Expansion Pass")
SOFTWARE = (
    "Fenster Office Suite", "Bastion Antivirus", "Veilnet VPN", "Pixelforge Studio",
    "Partition Wizardry", "Tonwerk Audio Lab", "Ledgerly Home", "Backup Fortress",
)  # fmt: skip
TERMS = ("1 Year 1 PC", "1 Year 3 Devices", "2 Years 5 Devices", "Lifetime", "6 Months 1 PC")
PREPAID = (
    "Vapour Wallet", "PlayPort Store", "XenBox Live Gold", "Nimbus Eshop", "Streamly Premium",
    "Riftgate Points", "Pocketmart", "CloudCoins",
)  # fmt: skip
AMOUNTS = ("5 EUR", "10 EUR", "20 EUR", "50 EUR", "10 USD", "25 USD", "100 TRY", "3 Months")

GAME_PLATFORMS = (
    "Steam", "PC Steam", "EA App", "Epic Games", "GOG COM", "Xbox One", "Xbox Series X|S", "PS4",
    "PS5", "Nintendo", "Ubisoft Connect", "Battle.net", "Rockstar Games",
)  # fmt: skip
SOFTWARE_PLATFORMS = ("PC", "Mac", "Android")
PREPAID_PLATFORMS = ("Kinguin", "Steam", "PSN", "Nintendo", "Xbox One")
GENRES = (
    "Action", "Adventure", "Anime", "Casual", "Co-op", "FPS", "Fighting", "Hack and Slash",
    "Hidden Object", "Horror", "Indie", "Life Simulation", "MMO", "Music / Soundtrack",
    "Open World", "Platformer", "Point & click", "PSN Card", "Puzzle", "RPG", "Racing",
    "Simulation", "Software", "Sport", "Steam Gift Card", "Story rich", "Strategy", "Subscription",
    "Survival", "Third-Person Shooter", "Turn-Based Strategy", "VR Games", "Visual Novel",
    "XBOX LIVE Gold Card",
)  # fmt: skip
GAME_GENRES = (*GENRES[:16], "Puzzle", "RPG", "Racing", "Simulation", "Sport", "Strategy")
LANGUAGES = (
    "English", "German", "French", "Spanish", "Italian", "Polish", "Portuguese - Brazil",
    "Russian", "Japanese", "Chinese", "Korean", "Turkish", "Čeština", "Dutch",
)  # fmt: skip
STUDIOS = (
    "Nordlys Interactive", "Grüner Würfel GmbH", "Kaizen Forge", "Papier Studios", "Two Foxes",
    "Łódź Pixel Works", "Deepwell Games", "Ocho Bits S.L.", "Lantern & Sons", "Quiet Machine",
)  # fmt: skip
MERCHANTS = (
    "KeyHarbour", "GamesForAll", "Best Pixel", "SoftMarket EU", "Księgarnia Kluczy", "Fast&Fair",
    "DigitalOutlet", "CodeBarn",
)  # fmt: skip
AGE_RATINGS = ("PEGI 3", "PEGI 7", "PEGI 12", "PEGI 16", "PEGI 18", "ESRB EVERYONE", "ESRB MATURE")

REGIONS: tuple[tuple[int, str], ...] = (
    (1, "Europe"), (2, "United States"), (3, "Region free"), (4, "Other"), (5, "Outside Europe"),
    (6, " RU VPN"), (7, "Russia"), (8, "United Kingdom"), (9, "China"), (10, "ROW"),
    (11, " Latin America"), (12, "Asia"), (13, "Germany"), (14, "australia"), (15, "Brazil"),
    (16, " India"), (17, "Japan"), (18, "North America"), (45, "Argentina"), (46, " turkey"),
)  # fmt: skip
"""Region ids and names as the dictionary spells them: leading blanks, uneven case."""

COUNTRIES_SHUT_OUT = ("RU", "BY", "CN", "TR", "AR", "BR", "IN", "VN", "KZ", "UA", "DE", "JP")
