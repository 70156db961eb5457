"""Indoor backdrops. Each function takes a random generator and paints 1600 x 1200."""

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from training.scenes.backdrop import SIZE, Backdrop, Surface, Way, light, pick
from training.scenes.textures import (
    Colour,
    Rng,
    checks,
    gradient,
    mottled,
    noise,
    shaded,
    soft_shadow,
    stripes,
    tiles,
    wood,
)

WIDTH, HEIGHT = SIZE

_OAK: Colour = (176, 128, 80)
_WALNUT: Colour = (112, 76, 52)
_PINE: Colour = (214, 176, 124)
_WHITE: Colour = (226, 222, 212)


def _wall(rng: Rng) -> Image.Image:
    """Plaster, or wallpaper with stripes."""
    colour = pick(
        rng, (206, 198, 178), (168, 186, 190), (196, 176, 176), (176, 188, 160), (204, 184, 146), (150, 160, 178)
    )
    if rng.random() < 0.4:
        second: Colour = (max(0, colour[0] - 14), max(0, colour[1] - 12), max(0, colour[2] - 10))
        return stripes(rng, SIZE, (colour, second), int(rng.integers(40, 90)))
    return mottled(rng, SIZE, colour, 0.05, 240)


def _board(rng: Rng, image: Image.Image, box: tuple[int, int, int, int], colour: Colour) -> None:
    """A shelf seen from slightly above: a light top, a darker front edge, and a shadow on the wall."""
    x1, top, x2, bottom = box
    edge = top + (bottom - top) * 3 // 5
    soft_shadow(image, (x1, bottom, x2, bottom + 34), 22, 0.5)
    plank = wood(rng, (x2 - x1, bottom - top), colour, 400)
    image.paste(ImageEnhance.Brightness(plank).enhance(1.1), (x1, top))
    front = wood(rng, (x2 - x1, bottom - edge), (colour[0] * 3 // 4, colour[1] * 3 // 4, colour[2] * 3 // 4), 400)
    image.paste(front, (x1, edge))


def shelf(rng: Rng) -> Backdrop:
    """A wall of shelves, three or four boards high."""
    image = _wall(rng)
    colour = pick(rng, _OAK, _WALNUT, _PINE, _WHITE)
    count = int(rng.integers(3, 5))
    pitch = (HEIGHT - 60) // count
    surfaces = []
    for number in range(count):
        front = 40 + (number + 1) * pitch
        _board(rng, image, (0, front - 50, WIDTH, front), colour)
        surfaces.append(Surface(10, front - 44, WIDTH - 10, front - 24, room=pitch - 70))
    for x in (0, int(rng.integers(560, 1040)), WIDTH - 30):
        post = wood(rng, (HEIGHT, 30), (colour[0] * 4 // 5, colour[1] * 4 // 5, colour[2] * 4 // 5), 60).rotate(
            90, expand=True
        )
        soft_shadow(image, (x + 30, 0, x + 42, HEIGHT), 14, 0.35)
        image.paste(post, (x, 0))
    return Backdrop(image, tuple(surfaces), light(rng))


def desk(rng: Rng) -> Backdrop:
    """A table top seen from above, with a mat and papers."""
    image = wood(rng, SIZE, pick(rng, _OAK, _WALNUT, _PINE), int(rng.integers(180, 320)))
    mat = (int(rng.integers(120, 420)), int(rng.integers(160, 420)))
    size = (int(rng.integers(640, 900)), int(rng.integers(420, 560)))
    soft_shadow(image, (mat[0], mat[1], mat[0] + size[0] + 8, mat[1] + size[1] + 10), 14, 0.5)
    image.paste(mottled(rng, size, pick(rng, (52, 84, 74), (60, 64, 80), (96, 52, 50)), 0.05, 90), mat)
    for _ in range(int(rng.integers(3, 6))):
        _sheet(rng, image)
    return Backdrop(image, (Surface(20, 20, WIDTH - 20, HEIGHT - 20, Way.LIE),), light(rng))


def _sheet(rng: Rng, image: Image.Image) -> None:
    """A written page, turned a little."""
    page = mottled(rng, (300, 400), pick(rng, (244, 240, 228), (250, 248, 244), (246, 236, 190)), 0.02, 200)
    draw = ImageDraw.Draw(page)
    for y in range(44, 370, 22):
        draw.line((30, y, 30 + float(rng.uniform(140, 240)), y), fill=(150, 152, 160), width=3)
    turned = page.convert("RGBA").rotate(float(rng.uniform(-40, 40)), Image.Resampling.BICUBIC, expand=True)
    x, y = int(rng.integers(-80, WIDTH - 260)), int(rng.integers(-80, HEIGHT - 260))
    shadow = Image.new("RGBA", turned.size, (10, 10, 14, 70))
    image.paste(shadow, (x + 7, y + 9), turned.getchannel("A").point(lambda alpha: alpha // 4))
    image.paste(turned, (x, y), turned)


def kitchen(rng: Rng) -> Backdrop:
    """Wall tiles, two shelves, a worktop, cupboard doors below."""
    side = int(rng.integers(70, 120))
    tile = pick(rng, (222, 226, 220), (176, 206, 204), (232, 216, 186), (196, 204, 216))
    image = tiles(rng, SIZE, tile, (side, side if rng.random() < 0.6 else side // 2), (176, 172, 164))
    colour = pick(rng, _OAK, _PINE, _WHITE, _WALNUT)
    surfaces = []
    for number, left in enumerate((0, int(rng.integers(0, 420)))):
        front = (290, 570)[number] + int(rng.integers(-20, 20))
        _board(rng, image, (left, front - 46, WIDTH, front), colour)
        surfaces.append(Surface(left + 20, front - 40, WIDTH - 20, front - 22, room=230))
    top, edge = int(rng.integers(690, 730)), 1080
    counter = mottled(rng, (WIDTH, edge - top), pick(rng, (92, 92, 96), (196, 186, 172), (150, 112, 80)), 0.10, 40)
    image.paste(ImageEnhance.Brightness(counter).enhance(1.12), (0, top))
    soft_shadow(image, (0, top - 6, WIDTH, top + 16), 18, 0.4)
    doors = (colour[0] * 4 // 5, colour[1] * 4 // 5, colour[2] * 4 // 5)
    image.paste(mottled(rng, (WIDTH, HEIGHT - edge), doors, 0.04), (0, edge))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, edge, WIDTH, edge + 16), fill=(70, 66, 64))
    for x in range(0, WIDTH, 400):
        draw.rectangle((x + 14, edge + 34, x + 386, HEIGHT + 20), outline=(60, 52, 46), width=4)
        draw.rectangle((x + 160, edge + 56, x + 240, edge + 68), fill=(186, 186, 190))
    surfaces.append(Surface(10, top + 40, WIDTH - 10, edge - 8, far=0.85, near=1.15))
    return Backdrop(image, tuple(surfaces), light(rng))


def cubbies(rng: Rng) -> Backdrop:
    """A wardrobe or a market rack: a grid of open boxes with dark backs."""
    colour = pick(rng, _OAK, _WALNUT, _PINE, _WHITE)
    image = wood(rng, SIZE, colour, 300)
    columns, rows = int(rng.integers(3, 6)), 3
    wide, high = (WIDTH - 24) // columns, (HEIGHT - 24) // rows
    surfaces = []
    for row in range(rows):
        for column in range(columns):
            x, y = 24 + column * wide, 24 + row * high
            size = (wide - 24, high - 24)
            back = (colour[0] * 5 // 8, colour[1] * 5 // 8, colour[2] * 5 // 8)
            image.paste(shaded(gradient(size, (back, colour)), 0.05 * noise(rng, size, (200, 12), 2)), (x, y))
            soft_shadow(image, (x, y, x + size[0], y + 26), 26, 0.55)
            soft_shadow(image, (x, y, x + 12, y + size[1]), 20, 0.4)
            floor = y + size[1]
            surfaces.append(Surface(x + 4, floor - 40, x + size[0] - 4, floor - 6, room=size[1] - 60))
    return Backdrop(image, tuple(surfaces), light(rng))


def workshop(rng: Rng) -> Backdrop:
    """A pegboard above a bench."""
    image = mottled(rng, SIZE, pick(rng, (196, 168, 126), (150, 160, 164), (176, 150, 120)), 0.05, 200)
    draw = ImageDraw.Draw(image)
    for y in range(20, 700, 44):
        for x in range(20, WIDTH, 44):
            draw.ellipse((x, y, x + 8, y + 8), fill=(74, 62, 52))
    bench = int(rng.integers(690, 740))
    image.paste(wood(rng, (WIDTH, HEIGHT - bench), pick(rng, _OAK, _PINE, (140, 110, 84)), 170), (0, bench))
    soft_shadow(image, (0, bench - 6, WIDTH, bench + 20), 22, 0.5)
    surfaces = (
        Surface(20, 60, WIDTH - 20, bench - 110, Way.HANG),
        Surface(10, bench + 60, WIDTH - 10, HEIGHT - 10, far=0.9, near=1.2),
    )
    return Backdrop(image, surfaces, light(rng))


def playroom(rng: Rng) -> Backdrop:
    """A painted wall with a low shelf, a floor with a rug."""
    image = _wall(rng)
    floor = int(rng.integers(520, 600))
    image.paste(wood(rng, (WIDTH, HEIGHT - floor), pick(rng, _PINE, _OAK, (190, 160, 130)), 110), (0, floor))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, floor - 34, WIDTH, floor), fill=(236, 232, 224))
    rug = Image.new("L", SIZE)
    centre = (float(rng.uniform(600, 1000)), float(rng.uniform(860, 960)))
    for number, colour in enumerate(
        (
            pick(rng, (192, 92, 80), (90, 130, 170), (120, 150, 96)),
            (236, 222, 190),
            pick(rng, (84, 110, 150), (204, 150, 80)),
        )
    ):
        rug.paste(0, (0, 0, WIDTH, HEIGHT))
        wide, high = 640 - 90 * number, 250 - 40 * number
        ImageDraw.Draw(rug).ellipse((centre[0] - wide, centre[1] - high, centre[0] + wide, centre[1] + high), fill=255)
        image.paste(shaded(Image.new("RGB", SIZE, colour), 0.07 * noise(rng, SIZE, (8, 6), 1)), mask=rug)
    upper = int(rng.integers(290, 340))
    _board(rng, image, (120, upper - 40, WIDTH - 120, upper), pick(rng, _PINE, _WHITE))
    surfaces = (
        Surface(130, upper - 34, WIDTH - 130, upper - 20, room=upper - 50),
        Surface(0, floor + 40, WIDTH, HEIGHT - 10, far=0.75, near=1.2),
        Surface(0, upper + 60, WIDTH, floor - 90, Way.HANG, 0.7, 0.7),
    )
    return Backdrop(image, surfaces, light(rng))


def bathroom(rng: Rng) -> Backdrop:
    """Tiles from floor to ceiling, two glass shelves, a mat."""
    side = int(rng.integers(90, 130))
    image = tiles(
        rng,
        SIZE,
        pick(rng, (186, 214, 220), (222, 222, 216), (204, 190, 206), (186, 212, 190)),
        (side, side),
        (236, 236, 232),
    )
    floor = 800
    image.paste(
        tiles(rng, (WIDTH, HEIGHT - floor), pick(rng, (120, 132, 140), (150, 140, 130)), (200, 100), (96, 100, 104)),
        (0, floor),
    )
    soft_shadow(image, (0, floor - 4, WIDTH, floor + 14), 20, 0.4)
    surfaces = [Surface(0, floor + 60, WIDTH, HEIGHT - 10, far=0.9, near=1.2)]
    for front in (340, 640):
        soft_shadow(image, (60, front, WIDTH - 60, front + 20), 20, 0.4)
        draw = ImageDraw.Draw(image)
        draw.rectangle((60, front - 30, WIDTH - 60, front), fill=(214, 230, 232))
        draw.rectangle((60, front - 8, WIDTH - 60, front), fill=(160, 190, 190))
        surfaces.append(Surface(70, front - 24, WIDTH - 70, front - 12, room=260))
    return Backdrop(image, tuple(surfaces), light(rng))


def party(rng: Rng) -> Backdrop:
    """Bunting on the wall, a long table with a cloth."""
    image = _wall(rng)
    draw = ImageDraw.Draw(image)
    for row in (40, 150):
        for x in range(-20, WIDTH, 90):
            sag = 60 * (1 - ((x + 25 - WIDTH / 2) / (WIDTH / 2)) ** 2)
            colour = pick(rng, (208, 70, 66), (240, 190, 70), (70, 140, 190), (96, 170, 110), (180, 110, 180))
            draw.polygon([(x, row + sag), (x + 64, row + sag), (x + 32, row + sag + 74)], fill=colour)
    top = int(rng.integers(520, 580))
    cloth = checks(
        rng, (WIDTH, HEIGHT - top), ((246, 242, 236), pick(rng, (220, 120, 120), (130, 170, 210), (230, 196, 120))), 70
    )
    image.paste(cloth, (0, top))
    soft_shadow(image, (0, top - 8, WIDTH, top + 18), 24, 0.4)
    surfaces = (
        Surface(0, top + 40, WIDTH, HEIGHT - 10, far=0.8, near=1.25),
        Surface(0, 60, WIDTH, top - 130, Way.FLY, 0.9, 0.9),
    )
    return Backdrop(image, surfaces, light(rng))


def market(rng: Rng) -> Backdrop:
    """An awning and rows of sloping crates."""
    image = mottled(rng, SIZE, pick(rng, (120, 104, 92), (104, 112, 110)), 0.08, 100)
    colour = pick(rng, (188, 62, 56), (60, 120, 84), (58, 96, 150), (222, 160, 60))
    image.paste(stripes(rng, (WIDTH, 150), (colour, (240, 236, 226)), 100), (0, 0))
    draw = ImageDraw.Draw(image)
    for number, x in enumerate(range(0, WIDTH, 100)):
        draw.ellipse((x, 120, x + 99, 184), fill=colour if number % 2 == 0 else (240, 236, 226))
    soft_shadow(image, (0, 180, WIDTH, 200), 40, 0.6)
    surfaces = []
    for row, top in enumerate((400, 660, 930)):
        left = -int(rng.integers(0, 200))
        while left < WIDTH:
            wide = int(rng.integers(300, 420))
            _crate(rng, image, (left, top - 60, left + wide - 10, top + 200))
            surfaces.append(
                Surface(
                    left + 16,
                    top + 6,
                    left + wide - 26,
                    top + 150,
                    far=0.75 + 0.1 * row,
                    near=0.9 + 0.1 * row,
                    room=220,
                )
            )
            left += wide
    return Backdrop(image, tuple(surfaces), light(rng))


def _crate(rng: Rng, image: Image.Image, box: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = box
    colour = pick(rng, _PINE, _OAK, (186, 150, 104))
    inside = wood(rng, (x2 - x1, y2 - y1), (colour[0] * 5 // 8, colour[1] * 5 // 8, colour[2] * 5 // 8), 70)
    image.paste(inside, (x1, y1))
    soft_shadow(image, (x1, y1, x2, y1 + 30), 30, 0.45)
    image.paste(wood(rng, (x2 - x1, 46), colour, 400), (x1, y2 - 46))
    image.paste(wood(rng, (y2 - y1, 16), colour, 400).rotate(90, expand=True), (x1, y1))
    image.paste(wood(rng, (y2 - y1, 16), colour, 400).rotate(90, expand=True), (x2 - 16, y1))


def stage(rng: Rng) -> Backdrop:
    """A curtain and boards under a spotlight."""
    cloth = Image.new("RGB", SIZE, pick(rng, (140, 36, 44), (52, 52, 104), (40, 92, 84)))
    image = shaded(cloth, 0.34 * noise(rng, SIZE, (70, 3000), 2))
    floor = int(rng.integers(600, 660))
    image.paste(wood(rng, (WIDTH, HEIGHT - floor), pick(rng, _OAK, (150, 100, 66)), 90), (0, floor))
    soft_shadow(image, (0, floor - 10, WIDTH, floor + 24), 30, 0.6)
    beam = Image.new("L", (WIDTH // 8, HEIGHT // 8))
    x = float(rng.uniform(60, 140))
    ImageDraw.Draw(beam).polygon([(x - 5, 0), (x + 5, 0), (x + 50, 150), (x - 50, 150)], fill=56)
    image.paste((255, 244, 210), mask=beam.filter(ImageFilter.GaussianBlur(5)).resize(SIZE, Image.Resampling.BICUBIC))
    surfaces = (
        Surface(0, floor + 30, WIDTH, HEIGHT - 10, far=0.75, near=1.2),
        Surface(0, 60, WIDTH, floor - 150, Way.HANG, 0.8, 0.8),
    )
    return Backdrop(image, surfaces, light(rng))
