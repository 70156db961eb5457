"""Outdoor backdrops. Each function takes a random generator and paints 1600 x 1200."""

from PIL import Image, ImageDraw, ImageFilter

from training.scenes.backdrop import SIZE, Backdrop, Surface, Way, light, pick
from training.scenes.textures import (
    Colour,
    Rng,
    checks,
    cut,
    gradient,
    grass,
    mottled,
    noise,
    ridge,
    shaded,
    sky,
    soft_shadow,
    water,
    wood,
)

WIDTH, HEIGHT = SIZE


def _sky(rng: Rng) -> Image.Image:
    top = pick(rng, (96, 160, 214), (120, 178, 220), (150, 170, 200), (104, 140, 190))
    return sky(rng, SIZE, top, pick(rng, (206, 226, 238), (240, 222, 200), (222, 232, 236)), rng.uniform(0.3, 1))


def _house(rng: Rng, image: Image.Image, box: tuple[int, int, int, int]) -> None:
    """A house front with rows of windows, a cornice, and shops at street level."""
    x1, y1, x2, y2 = box
    wall = pick(
        rng, (196, 168, 140), (172, 110, 92), (206, 196, 178), (150, 160, 168), (188, 178, 120), (160, 132, 120)
    )
    front = mottled(rng, (x2 - x1, y2 - y1), wall, 0.05, 90)
    draw = ImageDraw.Draw(front)
    dark: Colour = (max(0, wall[0] - 60), max(0, wall[1] - 60), max(0, wall[2] - 60))
    draw.rectangle((0, 0, x2 - x1, 14), fill=dark)
    across = max(2, (x2 - x1) // 90)
    pitch = (x2 - x1) / across
    for top in range(44, y2 - y1 - 190, 104):
        for column in range(across):
            left = column * pitch + pitch * 0.25
            glass = pick(rng, (86, 104, 122), (120, 146, 164), (226, 206, 150))
            draw.rectangle((left - 4, top - 4, left + pitch * 0.5 + 4, top + 66), fill=(232, 228, 218))
            draw.rectangle((left, top, left + pitch * 0.5, top + 60), fill=glass)
            draw.line((left + pitch * 0.25, top, left + pitch * 0.25, top + 60), fill=(232, 228, 218), width=3)
    draw.rectangle((16, y2 - y1 - 150, x2 - x1 - 16, y2 - y1 - 8), fill=(66, 74, 84))
    draw.rectangle((28, y2 - y1 - 112, x2 - x1 - 28, y2 - y1 - 20), fill=(112, 132, 144))
    draw.rectangle(
        (8, y2 - y1 - 172, x2 - x1 - 8, y2 - y1 - 128), fill=pick(rng, (176, 56, 52), (44, 96, 80), (50, 74, 120))
    )
    image.paste(front, (x1, y1))


def street(rng: Rng) -> Backdrop:
    """Houses, a pavement, a road with a crossing."""
    image = _sky(rng)
    horizon = int(rng.integers(500, 580))
    left = -int(rng.integers(0, 120))
    while left < WIDTH:
        width = int(rng.integers(200, 330))
        _house(rng, image, (left, int(rng.integers(40, 240)), left + width, horizon))
        left += width
    road = horizon + int(rng.integers(210, 270))
    paving = shaded(gradient(SIZE, ((150, 146, 140), (178, 174, 166))), 0.06 * noise(rng, SIZE, (60, 30)))
    draw = ImageDraw.Draw(paving)
    for x in range(-WIDTH, 2 * WIDTH, 110):
        draw.line((WIDTH / 2 + (x - WIDTH / 2) * 0.8, horizon, x, road), fill=(132, 128, 122), width=2)
    for y in (horizon + 40, horizon + 95, horizon + 165):
        draw.line((0, y, WIDTH, y), fill=(132, 128, 122), width=2)
    image.paste(paving.crop((0, horizon, WIDTH, road)), (0, horizon))
    asphalt = mottled(rng, (WIDTH, HEIGHT - road), pick(rng, (86, 88, 94), (98, 98, 100)), 0.08, 120)
    draw = ImageDraw.Draw(asphalt)
    draw.rectangle((0, 0, WIDTH, 12), fill=(194, 190, 182))
    shift = int(rng.integers(0, 200))
    for x in range(-shift, WIDTH, 300):
        draw.rectangle((x, (HEIGHT - road) // 2 - 7, x + 170, (HEIGHT - road) // 2 + 7), fill=(222, 220, 210))
    image.paste(asphalt, (0, road))
    soft_shadow(image, (0, horizon - 4, WIDTH, horizon + 10), 24, 0.5)
    surfaces = (
        Surface(0, horizon + 25, WIDTH, road - 10, far=0.65, near=0.9),
        Surface(0, road + 60, WIDTH, HEIGHT - 10, far=0.95, near=1.25),
        Surface(0, 30, WIDTH, 260, Way.FLY, 0.7, 0.8),
    )
    return Backdrop(image, surfaces, light(rng))


def beach(rng: Rng) -> Backdrop:
    """Sky, sea, foam, sand."""
    image = _sky(rng)
    horizon = int(rng.integers(250, 340))
    shore = horizon + int(rng.integers(150, 220))
    sea = water(
        rng,
        (WIDTH, HEIGHT - horizon),
        pick(rng, (40, 112, 150), (56, 128, 150)),
        pick(rng, (96, 190, 192), (84, 170, 196)),
    )
    image.paste(sea.resize((WIDTH, HEIGHT - horizon)).crop((0, 0, WIDTH, HEIGHT - horizon)), (0, horizon))
    line = ridge(rng, SIZE, shore, 16, 3)
    cut(image, mottled(rng, SIZE, (240, 244, 240), 0.05, 40), [(x, y - 10) for x, y in line[:-2]] + line[-2:])
    wet = pick(rng, (184, 156, 116), (190, 164, 128))
    cut(image, mottled(rng, SIZE, wet, 0.05, 200), line)
    sand = mottled(rng, SIZE, pick(rng, (232, 208, 160), (238, 218, 178), (224, 196, 150)), 0.07, 110)
    cut(image, sand, [(x, y + 46) for x, y in ridge(rng, SIZE, shore, 18, 3)[:-2]] + line[-2:])
    surfaces = (
        Surface(0, shore + 70, WIDTH, HEIGHT - 12, far=0.6, near=1.2),
        Surface(0, horizon + 40, WIDTH, shore - 14, Way.FLOAT, 0.4, 0.75),
        Surface(0, 30, WIDTH, horizon - 40, Way.FLY, 0.7, 0.8),
    )
    return Backdrop(image, surfaces, light(rng))


def garden(rng: Rng) -> Backdrop:
    """A hedge, a fence, a flower bed and a lawn."""
    image = _sky(rng)
    hedge = int(rng.integers(200, 290))
    lawn = hedge + int(rng.integers(210, 260))
    green = pick(rng, (70, 116, 62), (58, 104, 72))
    leaves = shaded(Image.new("RGB", SIZE, green), 0.30 * noise(rng, SIZE, (26, 26), 3))
    cut(image, leaves, ridge(rng, SIZE, hedge, 14, 9))
    draw = ImageDraw.Draw(image)
    post = pick(rng, (226, 218, 204), (166, 118, 80), (204, 196, 190))
    for y in (lawn - 130, lawn - 70):
        draw.rectangle((0, y, WIDTH, y + 14), fill=(post[0] - 30, post[1] - 30, post[2] - 30))
    for x in range(int(rng.integers(-50, 0)), WIDTH, 76):
        outline = [(x, lawn - 24), (x, lawn - 160), (x + 20, lawn - 186), (x + 40, lawn - 160), (x + 40, lawn - 24)]
        draw.polygon(outline, fill=post, outline=(post[0] - 46, post[1] - 46, post[2] - 46))
    cut(image, grass(rng, SIZE, (112, 152, 70), pick(rng, (96, 156, 62), (110, 160, 74))), ridge(rng, SIZE, lawn, 6, 3))
    soft_shadow(image, (0, lawn - 8, WIDTH, lawn + 22), 20, 0.35)
    earth = mottled(rng, SIZE, (112, 82, 60), 0.16, 30)
    bed = HEIGHT - int(rng.integers(230, 280))
    cut(
        image,
        earth,
        [(x, y) for x, y in ridge(rng, SIZE, bed, 14, 3)[:-2]]
        + list(reversed(ridge(rng, SIZE, bed + 130, 12, 3)[:-2])),
    )
    surfaces = (
        Surface(0, lawn + 25, WIDTH, bed - 10, far=0.65, near=0.95),
        Surface(0, bed + 40, WIDTH, HEIGHT - 10, far=1.0, near=1.2),
        Surface(0, 30, WIDTH, hedge - 40, Way.FLY, 0.7, 0.8),
    )
    return Backdrop(image, surfaces, light(rng))


def farm(rng: Rng) -> Backdrop:
    """Hills, ploughed fields, a barn, a meadow."""
    image = _sky(rng)
    horizon = int(rng.integers(330, 400))
    cut(
        image,
        mottled(rng, SIZE, pick(rng, (140, 166, 130), (124, 156, 140)), 0.06),
        ridge(rng, SIZE, horizon - 60, 50, 3),
    )
    cut(image, mottled(rng, SIZE, pick(rng, (196, 184, 96), (150, 172, 84)), 0.06), ridge(rng, SIZE, horizon, 30, 3))
    _barn(rng, image, int(rng.integers(60, 1180)), horizon + 95)
    meadow = grass(rng, SIZE, (138, 160, 76), pick(rng, (104, 150, 60), (120, 150, 66)))
    cut(image, meadow, ridge(rng, SIZE, horizon + 80, 14, 3))
    path = mottled(rng, SIZE, (186, 158, 118), 0.08, 60)
    foot = float(rng.uniform(300, 1300))
    cut(image, path, [(foot - 30, horizon + 95), (foot + 30, horizon + 95), (foot + 380, HEIGHT), (foot - 120, HEIGHT)])
    surfaces = (
        Surface(0, horizon + 140, WIDTH, HEIGHT - 10, far=0.55, near=1.25),
        Surface(0, 30, WIDTH, horizon - 110, Way.FLY, 0.7, 0.8),
    )
    return Backdrop(image, surfaces, light(rng))


def _barn(rng: Rng, image: Image.Image, x: int, foot: int) -> None:
    red = pick(rng, (150, 58, 50), (130, 90, 70))
    wall = wood(rng, (180, 320), red, 22).rotate(90, expand=True)
    top = foot - 180
    image.paste(wall, (x, top))
    draw = ImageDraw.Draw(image)
    draw.polygon([(x - 20, top), (x + 50, top - 90), (x + 270, top - 90), (x + 340, top)], fill=(92, 88, 92))
    draw.rectangle((x + 110, foot - 120, x + 210, foot), fill=(92, 40, 36), outline=(236, 226, 214), width=6)
    draw.line((x + 110, foot - 120, x + 210, foot), fill=(236, 226, 214), width=6)
    draw.line((x + 210, foot - 120, x + 110, foot), fill=(236, 226, 214), width=6)


def forest(rng: Rng) -> Backdrop:
    """Trunks in the mist, ferns, a floor of leaves."""
    mist = pick(rng, (170, 190, 168), (186, 190, 160), (150, 176, 176))
    image = shaded(
        gradient(SIZE, (pick(rng, (96, 130, 84), (84, 120, 96)), mist, mist)), 0.12 * noise(rng, SIZE, (130, 130), 4)
    )
    floor = int(rng.integers(420, 500))
    for layer in range(3):
        share = (layer + 1) / 3
        bark = Image.new(
            "RGB", SIZE, tuple(round(m * (1 - share) + d * share) for m, d in zip(mist, (74, 58, 48), strict=True))
        )
        bark = shaded(bark, 0.16 * noise(rng, SIZE, (14, 190), 2))
        for _ in range(7 - layer):
            x, half = float(rng.uniform(0, WIDTH)), float(rng.uniform(9, 16) * (layer + 1))
            bottom = floor + 20 + 40 * layer
            cut(image, bark, [(x - half * 0.7, 0), (x + half * 0.7, 0), (x + half, bottom), (x - half, bottom)])
    leaves = shaded(gradient(SIZE, ((110, 112, 66), (110, 92, 58))), 0.24 * noise(rng, SIZE, (34, 18), 3))
    cut(image, leaves, ridge(rng, SIZE, floor + 30, 14, 4))
    moss = shaded(Image.new("RGB", SIZE, (92, 120, 58)), 0.26 * noise(rng, SIZE, (18, 12), 2))
    cut(image, moss, ridge(rng, SIZE, float(rng.uniform(800, 1000)), 70, 3))
    surfaces = (
        Surface(0, floor + 60, WIDTH, HEIGHT - 10, far=0.65, near=1.25),
        Surface(0, 30, WIDTH, 240, Way.FLY, 0.7, 0.8),
    )
    return Backdrop(image, surfaces, light(rng))


def harbour(rng: Rng) -> Backdrop:
    """A bay, the far shore, a wooden quay."""
    image = _sky(rng)
    horizon = int(rng.integers(260, 330))
    cut(
        image,
        mottled(rng, SIZE, pick(rng, (112, 136, 132), (128, 134, 150)), 0.08),
        ridge(rng, SIZE, horizon - 40, 36, 4),
    )
    sea = water(
        rng,
        (WIDTH, HEIGHT - horizon),
        pick(rng, (92, 138, 158), (80, 124, 140)),
        pick(rng, (38, 92, 120), (44, 104, 116)),
    )
    image.paste(sea, (0, horizon))
    quay = int(rng.integers(780, 860))
    planks = wood(rng, (HEIGHT - quay, WIDTH), pick(rng, (160, 126, 92), (140, 122, 106)), 90).rotate(90, expand=True)
    image.paste(planks, (0, quay))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, quay, WIDTH, quay + 18), fill=(104, 80, 60))
    for x in range(int(rng.integers(20, 160)), WIDTH, 380):
        draw.rectangle((x, quay - 50, x + 44, quay + 26), fill=(92, 72, 56))
        draw.ellipse((x, quay - 60, x + 44, quay - 40), fill=(132, 108, 84))
    surfaces = (
        Surface(0, horizon + 60, WIDTH, quay - 60, Way.FLOAT, 0.55, 1.1),
        Surface(0, quay + 70, WIDTH, HEIGHT - 10, far=0.95, near=1.2),
        Surface(0, 30, WIDTH, horizon - 80, Way.FLY, 0.7, 0.8),
    )
    return Backdrop(image, surfaces, light(rng))


def snow(rng: Rng) -> Backdrop:
    """Mountains, firs, a white slope, falling flakes."""
    image = _sky(rng)
    for step, colour in enumerate(((150, 168, 190), (184, 198, 214))):
        outline = [(0.0, float(HEIGHT))]
        for x in range(-100, WIDTH + 200, 190):
            peak = float(rng.uniform(40, 250)) * (x // 190 % 2)
            outline.append((x + float(rng.uniform(-60, 60)), 330 + 70 * step - peak))
        cut(image, mottled(rng, SIZE, colour, 0.08, 90), [*outline, (float(WIDTH), float(HEIGHT))])
    draw = ImageDraw.Draw(image)
    for _ in range(34):
        tip, foot, tall = float(rng.uniform(0, WIDTH)), float(rng.uniform(420, 480)), float(rng.uniform(60, 150))
        fir = [(tip - tall / 4, foot), (tip, foot - tall), (tip + tall / 4, foot)]
        draw.polygon(fir, fill=pick(rng, (66, 96, 96), (84, 112, 110)))
    slope = shaded(gradient(SIZE, ((232, 240, 248), (206, 222, 240))), 0.05 * noise(rng, SIZE, (420, 70), 4))
    cut(image, slope, ridge(rng, SIZE, 470, 22, 3))
    flakes = Image.new("L", SIZE)
    draw = ImageDraw.Draw(flakes)
    for x, y, r in zip(rng.uniform(0, WIDTH, 200), rng.uniform(0, HEIGHT, 200), rng.uniform(1, 4, 200), strict=True):
        draw.ellipse((x - r, y - r, x + r, y + r), fill=220)
    image.paste((255, 255, 255), mask=flakes.filter(ImageFilter.GaussianBlur(1)))
    surfaces = (Surface(0, 540, WIDTH, HEIGHT - 10, far=0.6, near=1.25), Surface(0, 30, WIDTH, 200, Way.FLY, 0.7, 0.8))
    return Backdrop(image, surfaces, light(rng))


def picnic(rng: Rng) -> Backdrop:
    """A checked blanket on a meadow, seen from above."""
    image = grass(rng, SIZE, pick(rng, (104, 150, 66), (124, 152, 76)), pick(rng, (104, 150, 66), (96, 140, 60)))
    colour = pick(rng, (192, 52, 52), (52, 92, 160), (70, 130, 84), (206, 150, 60))
    cloth = checks(rng, (1240, 900), ((246, 240, 230), colour), int(rng.integers(40, 64))).convert("RGBA")
    turned = cloth.rotate(float(rng.uniform(-8, 8)), Image.Resampling.BICUBIC, expand=True)
    at = ((WIDTH - turned.width) // 2, (HEIGHT - turned.height) // 2)
    soft_shadow(image, (at[0] + 70, at[1] + 70, at[0] + turned.width - 60, at[1] + turned.height - 60), 26, 0.5)
    image.paste(turned, at, turned)
    return Backdrop(image, (Surface(20, 20, WIDTH - 20, HEIGHT - 20, Way.LIE),), light(rng))


def pitch(rng: Rng) -> Backdrop:
    """A mown playing field with white lines, stands behind it."""
    image = _sky(rng)
    rows = mottled(rng, (WIDTH, 180), pick(rng, (70, 84, 120), (120, 70, 70)), 0.05)
    draw = ImageDraw.Draw(rows)
    for y in range(18, 170, 26):
        for x in range(0, WIDTH, 24):
            draw.ellipse(
                (x, y, x + 17, y + 17), fill=pick(rng, (206, 70, 60), (226, 200, 90), (70, 110, 190), (226, 226, 226))
            )
    image.paste(rows.filter(ImageFilter.GaussianBlur(2)), (0, 200))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 372, WIDTH, 428), fill=pick(rng, (44, 66, 110), (196, 196, 190)))
    field = grass(rng, SIZE, (96, 154, 66), (84, 150, 58))
    draw = ImageDraw.Draw(field, "RGBA")
    for number in range(-12, 24, 2):
        x = number * 110
        centre = WIDTH / 2
        draw.polygon(
            [
                (x, 428),
                (x + 110, 428),
                (centre + (x + 110 - centre) * 2.4, HEIGHT),
                (centre + (x - centre) * 2.4, HEIGHT),
            ],
            fill=(40, 90, 20, 38),
        )
    draw.line((0, 500, WIDTH, 500), fill=(240, 244, 236, 230), width=7)
    draw.arc((460, 700, 1140, 1060), 0, 360, fill=(240, 244, 236, 230), width=10)
    draw.line((0, 880, WIDTH, 880), fill=(240, 244, 236, 230), width=10)
    image.paste(field.crop((0, 428, WIDTH, HEIGHT)), (0, 428))
    surfaces = (Surface(0, 480, WIDTH, HEIGHT - 10, far=0.65, near=1.25), Surface(0, 30, WIDTH, 170, Way.FLY, 0.7, 0.8))
    return Backdrop(image, surfaces, light(rng))
