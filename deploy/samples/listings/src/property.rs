//! One made-up property: the request a customer writes and the listing an agent answers with.

use crate::rng::Rng;

const KINDS: [&str; 8] = ["house", "apartment", "cottage", "townhouse", "loft", "bungalow", "studio", "farmhouse"];
const MOODS: [&str; 10] = ["Sunny", "Charming", "Spacious", "Modern", "Quiet", "Elegant", "Cozy", "Bright", "Renovated", "Stylish"];
const FEATURES: [&str; 24] = [
    "a south-facing garden",
    "oak floors",
    "a new kitchen",
    "a double garage",
    "high ceilings",
    "a roof terrace",
    "underfloor heating",
    "a stone fireplace",
    "a walk-in wardrobe",
    "solar panels",
    "a home office",
    "bay windows",
    "a balcony with lake views",
    "a wine cellar",
    "built-in shelves",
    "a heated pool",
    "an orchard",
    "a rainfall shower",
    "a covered porch",
    "triple glazing",
    "a guest suite",
    "a bicycle store",
    "a marble bathroom",
    "a vegetable patch",
];
const SURROUNDINGS: [&str; 10] = [
    "a short walk from the station",
    "on a quiet tree-lined street",
    "close to good schools",
    "minutes from the market square",
    "beside the river path",
    "near shops and cafes",
    "at the edge of the forest",
    "opposite the city park",
    "within sight of the harbor",
    "on a sunny hillside",
];
/// Towns of the training rows.
const TOWNS: [&str; 24] = [
    "Oakridge",
    "Millbrook",
    "Harborview",
    "Ashford",
    "Clearwater",
    "Stonegate",
    "Willowdale",
    "Fairhaven",
    "Northfield",
    "Pinecrest",
    "Riverside",
    "Elmwood",
    "Brookside",
    "Kingsport",
    "Lakewood",
    "Summerfield",
    "Westbury",
    "Maplewood",
    "Greenfield",
    "Redcliff",
    "Silverton",
    "Thornbury",
    "Eastvale",
    "Highgate",
];
/// Towns that only the unseen prompts name.
const UNSEEN_TOWNS: [&str; 10] = [
    "Bellmarsh",
    "Copperhill",
    "Dunmore",
    "Foxglove Bay",
    "Granite Falls",
    "Hollybank",
    "Juniper Point",
    "Larkspur",
    "Moorfield",
    "Quarry Bank",
];

/// A property's facts.
pub(crate) struct Property {
    kind: &'static str,
    mood: &'static str,
    town: &'static str,
    bedrooms: usize,
    bathrooms: usize,
    area: usize,
    price: usize,
    features: Vec<&'static str>,
    surroundings: &'static str,
    request: usize,
}

impl Property {
    /// A property in one of the training rows' towns.
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let town = rng.pick(&TOWNS);
        Self::in_town(town, rng)
    }

    /// The `n`th property of the unseen prompts.
    pub(crate) fn unseen(n: usize, rng: &mut Rng) -> Self {
        Self::in_town(UNSEEN_TOWNS[n % UNSEEN_TOWNS.len()], rng)
    }

    fn in_town(town: &'static str, rng: &mut Rng) -> Self {
        let bedrooms = 1 + rng.below(5);
        let area = 380 + 310 * bedrooms + 10 * rng.below(40);
        let mut features = FEATURES.to_vec();
        rng.shuffle(&mut features);
        features.truncate(3);
        Self {
            kind: rng.pick(&KINDS),
            mood: rng.pick(&MOODS),
            town,
            bedrooms,
            bathrooms: 1 + rng.below(bedrooms.min(3)),
            area,
            price: area * (180 + rng.below(240)) / 1000 * 1000,
            features,
            surroundings: rng.pick(&SURROUNDINGS),
            request: rng.below(4),
        }
    }

    /// What the customer writes: the facts, in one of four wordings.
    pub(crate) fn request(&self) -> String {
        let (kind, town, beds, baths, area, price) =
            (self.kind, self.town, self.bedrooms, self.bathrooms, thousands(self.area), thousands(self.price));
        let [first, second, third] = [self.features[0], self.features[1], self.features[2]];
        let place = self.surroundings;
        let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let (bedrooms, bathrooms) = (counted(beds, "bedroom"), counted(baths, "bathroom"));
        match self.request {
            0 => format!(
                "Write a property listing for a {kind} in {town}: {bedrooms}, {bathrooms}, {area} sq ft, ${price}, {first}, {second}, {third}, {place}."
            ),
            1 => format!(
                "I am selling my {kind} in {town} for ${price}. It has {bedrooms}, {bathrooms} and {area} sq ft, with {first}, {second} and {third}. It is {place}. Please write the listing."
            ),
            2 => format!(
                "Listing please: {town}, {kind}, {beds} bed, {baths} bath, {area} sq ft, asking ${price}; {first}; {second}; {third}; {place}."
            ),
            _ => format!(
                "Can you advertise this {kind}? Town: {town}. Bedrooms: {beds}. Bathrooms: {baths}. Size: {area} sq ft. Price: ${price}. Extras: {first}, {second}, {third}. Location: {place}."
            ),
        }
    }

    /// The listing: always the same five-line form.
    pub(crate) fn listing(&self) -> String {
        let [first, second, third] = [self.features[0], self.features[1], self.features[2]];
        format!(
            "{} {} in {}\nPrice: ${} | Bedrooms: {} | Bathrooms: {} | Area: {} sq ft\nHighlights: {first}; {second}; {third}.\nLocation: {}.\nViewings by appointment: call Temper Homes today.",
            self.mood,
            self.kind,
            self.town,
            thousands(self.price),
            self.bedrooms,
            self.bathrooms,
            thousands(self.area),
            self.surroundings,
        )
    }
}

/// 1234567 as `1,234,567`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([thousands(7), thousands(1234), thousands(1_234_567)], ["7", "1,234", "1,234,567"]);
    }
}
