//! What is drawn on a page besides text: rules, of which tables are made, and how much of the page pictures cover.

use pdfium_render::prelude::{
    PdfMatrix, PdfPage, PdfPageContentRegenerationStrategy, PdfPageObject, PdfPageObjectCommon, PdfPageObjectsCommon,
    PdfPagePathObject, PdfPathFillMode, PdfPathSegmentType, PdfPathSegments, PdfiumLibraryBindingsAccessor,
};

use super::{
    geometry::{POINTS_PER_INCH, Rect, Sheet},
    twins::TextObject,
};

/// Objects of a page that are looked at, those in forms included; a map has many more, and no table.
const MAX_OBJECTS: usize = 20_000;
/// Segments of paths that are looked at.
const MAX_SEGMENTS: usize = 40_000;
/// Forms within forms.
const MAX_DEPTH: usize = 6;
/// The share of the page that a picture covers whose own size decides how finely the page is rendered.
const MUCH_OF_PAGE: f32 = 0.2;
/// The shortest rule, in points.
const MIN_RULE: f32 = 4.0;
/// The thickest filled shape that is a rule, in points.
const MAX_THICKNESS: f32 = 3.0;
/// How much such text is slanted.
const SLANT: f32 = 0.002;
/// Text of less width is left out by PDFium, in points.
const FLAT: f32 = 0.02;
/// How far the ends of a level line may differ, in points.
const LEVEL: f32 = 0.6;

/// The drawings of a page, as shown.
#[derive(Debug, Default)]
pub(super) struct Graphics {
    /// Horizontal and vertical rules: flat rectangles.
    pub(super) rules: Vec<Rect>,
    pub(super) pictures: Vec<Rect>,
    /// Pixels per inch of the finest picture that covers much of the page.
    pub(super) dpi: Option<f32>,
    /// Objects that were looked at.
    pub(super) objects: usize,
    /// Indices of text objects without width, which PDFium would leave out: vertical writing in some fonts.
    pub(super) flat_texts: Vec<usize>,
    /// The text objects in the order of the content; none where the page has too many objects.
    pub(super) texts: Vec<TextObject>,
}

impl Graphics {
    /// The share of the page that the pictures cover; what two cover counts twice, so at most 1.
    pub(super) fn picture_share(&self, sheet: &Sheet) -> f32 {
        let (width, height) = sheet.size();
        let page = Rect { left: 0.0, top: 0.0, right: width, bottom: height };
        let area: f32 =
            self.pictures.iter().map(|p| p.shared_width(&page).max(0.0) * p.shared_height(&page).max(0.0)).sum();
        (area / (width * height).max(1.0)).min(1.0)
    }
}

/// Looks at the objects of `page`.
pub(super) fn read(page: &PdfPage<'_>, sheet: &Sheet) -> Graphics {
    let mut reader = Reader { sheet, found: Graphics::default(), objects: 0, segments: 0 };
    for (index, object) in page.objects().iter().enumerate() {
        if object.as_text_object().is_some()
            && object.bounds().is_ok_and(|bounds| bounds.width().value < FLAT && bounds.height().value > MIN_RULE)
        {
            reader.found.flat_texts.push(index);
        }
        reader.add(&object, PdfMatrix::IDENTITY, 0);
    }
    reader.found.objects = reader.objects;
    if reader.objects >= MAX_OBJECTS || reader.segments >= MAX_SEGMENTS {
        reader.found.rules.clear();
        reader.found.texts.clear();
    }
    reader.found
}

/// Slants text without width, by too little to see, so that PDFium gives it.
pub(super) fn slant_flat_texts(page: &mut PdfPage<'_>, graphics: &Graphics) {
    page.set_content_regeneration_strategy(PdfPageContentRegenerationStrategy::Manual);
    for index in &graphics.flat_texts {
        let Ok(mut object) = page.objects().get(*index) else { continue };
        let Ok(matrix) = object.matrix() else { continue };
        if let Some(text) = object.as_text_object_mut() {
            // About its own origin.
            let _ = text.transform(1.0, 0.0, SLANT, 1.0, -SLANT * matrix.f(), 0.0);
        }
    }
}

struct Reader<'a> {
    sheet: &'a Sheet,
    found: Graphics,
    objects: usize,
    segments: usize,
}

impl Reader<'_> {
    /// Adds an object whose coordinates `outer` brings to the page.
    fn add(&mut self, object: &PdfPageObject<'_>, outer: PdfMatrix, depth: usize) {
        self.objects += 1;
        if self.objects >= MAX_OBJECTS {
            return;
        }
        match object {
            PdfPageObject::Path(path) => self.add_path(path, outer),
            PdfPageObject::Image(image) => {
                if let Ok(matrix) = image.matrix() {
                    let matrix = matrix.multiply(outer);
                    let corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].map(|point| applied(&matrix, point));
                    let shown = corners.map(|corner| self.sheet.shown(corner));
                    let points = shown.map(|(x, y)| Rect { left: x, top: y, right: x, bottom: y });
                    let place = Rect::around(points.iter());
                    let pixels = image.width().unwrap_or(0) as f32 * image.height().unwrap_or(0) as f32;
                    if let Some(place) = place {
                        self.note_dpi(&place, pixels);
                    }
                    self.found.pictures.extend(place);
                }
            }
            PdfPageObject::XObjectForm(form) if depth < MAX_DEPTH => {
                let matrix = form.matrix().map_or(outer, |matrix| matrix.multiply(outer));
                for inner in form.iter() {
                    self.add(&inner, matrix, depth + 1);
                }
            }
            PdfPageObject::Text(text) => {
                if let (Ok(matrix), Ok(bounds)) = (text.matrix(), text.bounds()) {
                    let matrix = matrix.multiply(outer);
                    let handle = object.bindings().get_handle_from_object(object) as usize;
                    let ink = (bounds.width().value, bounds.height().value);
                    self.found.texts.push(TextObject { handle, origin: (matrix.e(), matrix.f()), ink });
                }
            }
            PdfPageObject::XObjectForm(_) | PdfPageObject::Shading(_) | PdfPageObject::Unsupported(_) => {}
        }
    }

    fn note_dpi(&mut self, place: &Rect, pixels: f32) {
        let (width, height) = self.sheet.size();
        let area = place.width() * place.height();
        let dpi = (pixels / area).sqrt() * POINTS_PER_INCH;
        if area >= MUCH_OF_PAGE * width * height && dpi.is_finite() && dpi > 0.0 {
            self.found.dpi = Some(self.found.dpi.unwrap_or(0.0).max(dpi));
        }
    }

    fn add_path(&mut self, path: &PdfPagePathObject<'_>, outer: PdfMatrix) {
        let stroked = path.is_stroked().unwrap_or(false);
        let filled = !matches!(path.fill_mode(), Ok(PdfPathFillMode::None) | Err(_));
        let segments = path.segments();
        if self.segments >= MAX_SEGMENTS || !(stroked || filled) {
            return;
        }
        let matrix = path.matrix().map_or(outer, |matrix| matrix.multiply(outer));
        let (mut points, mut start) = (Vec::new(), None);
        for segment in segments.iter() {
            self.segments += 1;
            if self.segments >= MAX_SEGMENTS {
                return;
            }
            let (x, y) = segment.point();
            let point = self.sheet.shown(applied(&matrix, (x.value, y.value)));
            match segment.segment_type() {
                PdfPathSegmentType::MoveTo => {
                    self.add_outline(&points, stroked);
                    points.clear();
                    start = Some(point);
                }
                PdfPathSegmentType::LineTo => {}
                PdfPathSegmentType::BezierTo | PdfPathSegmentType::Unknown => {
                    points.clear();
                    continue;
                }
            }
            points.push(point);
            if segment.is_close() {
                points.extend(start);
            }
        }
        self.add_outline(&points, stroked);
    }

    /// Adds the level lines of an outline, if it is stroked; else the outline, if it is thin.
    fn add_outline(&mut self, points: &[(f32, f32)], stroked: bool) {
        let flat = points.iter().map(|&(x, y)| Rect { left: x, top: y, right: x, bottom: y }).collect::<Vec<_>>();
        let Some(around) = Rect::around(flat.iter()) else { return };
        if around.width().min(around.height()) <= MAX_THICKNESS {
            self.add_rule(around);
        } else if stroked {
            for pair in flat.windows(2) {
                self.add_rule(pair[0].union(&pair[1]));
            }
        }
    }

    fn add_rule(&mut self, line: Rect) {
        let (width, height) = (line.width(), line.height());
        let is_level = width.min(height) <= LEVEL.max(MAX_THICKNESS);
        if is_level && width.max(height) >= MIN_RULE && width.is_finite() && height.is_finite() {
            self.found.rules.push(line);
        }
    }
}

fn applied(matrix: &PdfMatrix, (x, y): (f32, f32)) -> (f32, f32) {
    (matrix.a() * x + matrix.c() * y + matrix.e(), matrix.b() * x + matrix.d() * y + matrix.f())
}
